"""SCPI instruments on a serial line (multimeters, supplies, generators): asks the questions the configuration lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, field_validator

from drivers.codecs.scpi import answer, decode_input, error, identified
from gateway import DecodeError, Duration, Lines, LinkError, Options, Polled, Quantity, Reading, SerialLink

LINE = (Lines(longest=65536),)


class Query(BaseModel):
    """One question and the quantity its answer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64)
    query: str
    unit: str | None = None  # where the answer does not print it

    @field_validator("query")
    @classmethod
    def _query(cls, query: str) -> str:
        if not query.isascii() or not query.isprintable() or "?" not in query:
            raise ValueError(f"{query!r} asks nothing; write a query, like MEAS:VOLT:DC?")
        return query.strip()


class ScpiOptions(Options):
    """What is asked once a period, in this order."""

    queries: tuple[Query, ...]
    timeout: Duration | None = None  # the link's own unless said

    @field_validator("queries")
    @classmethod
    def _queries(cls, queries: tuple[Query, ...]) -> tuple[Query, ...]:
        if not queries:
            raise ValueError("nothing to ask; write at least one query")
        names = [query.name for query in queries]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two queries are named {name!r}; write another name for one of them")
        return queries


@dataclass
class Known:
    """What is known of the instrument."""

    identity: dict[str, str | None] = field(default_factory=dict)
    deaf: bool = False  # it did not even answer what was wrong: asked again when it answers anything


@dataclass(frozen=True)
class Scpi(Polled):
    """One question after the other; where none is answered, the instrument is asked what was wrong."""

    options: ScpiOptions
    link: SerialLink
    known: Known = field(default_factory=Known, init=False, compare=False, repr=False)

    async def read(self) -> list[Reading]:
        """All answers. Raises LinkError, also with the instrument's own error, and DecodeError."""
        readings: list[Reading] = []
        for query in self.options.queries:
            readings += answer(await self._asked(query.query), query.name, query.unit)
        if not self.known.identity:
            await self._identify()
        return readings

    async def _asked(self, query: str) -> str:
        try:
            return await self._ask(query)
        except LinkError as unanswered:
            if unanswered.reason != "timeout" or self.known.deaf:
                raise
            self.known.deaf = True
            try:
                code, why = error(await self._ask("SYST:ERR?"))
            except (LinkError, DecodeError):
                raise unanswered from None
            if code == 0:
                raise
            raise LinkError(f"{self.link.name}: {query} is refused: {code} {why}", "exception", code) from None

    async def _identify(self) -> None:
        """Asked once, after the first answers; one that does not say who it is measures all the same."""
        self.known.identity.update({"model": None, "serial": None, "firmware": None})
        try:
            told = identified(await self._ask("*IDN?"))
        except (LinkError, DecodeError):
            return
        model = " ".join(part for part in (told["manufacturer"], told["model"]) if part)
        serial = told["serial"] if told["serial"].strip("0") else None  # 0: it has none
        self.known.identity.update({"model": model, "serial": serial, "firmware": told["firmware"]})

    async def _ask(self, query: str) -> str:
        told = await self.link.ask(query.encode("ascii") + b"\n", LINE, self.options.timeout)
        self.known.deaf = False
        return told.decode("latin-1")

    def identity(self) -> dict[str, str | None]:
        """As the instrument says after its first answers."""
        return dict(self.known.identity)

    def quantities(self) -> dict[str, Quantity]:
        """Those asked for."""
        return {query.name: Quantity(query.unit) for query in self.options.queries}

    def traffic(self) -> list[tuple[int, int]]:
        """Each question, and an answer of one number."""
        return [(len(query.query) + 1, 17) for query in self.options.queries]

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """A captured answer; `context` as in drivers/codecs/scpi.py."""
        return decode_input(data, context)
