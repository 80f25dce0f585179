"""SunSpec inverters and meters: finds the map of the device, walks its models, and reads those it knows."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import field_validator

from drivers.codecs.register_map import LONGEST_READ
from drivers.codecs.registers import Block
from drivers.codecs.sunspec import BASES, WIDEST, Map, Model, decode_sunspec, known_identity, walk
from drivers.codecs.sunspec_points import point_names
from drivers.codecs.unit import UnitOptions
from gateway import DecodeError, LinkError, ModbusLink, Options, Polled, Quantity, Reading

ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3
REQUEST, AROUND_DATA = 8, 5  # bytes of an RTU request, and around the data of its answer
PREFIX = re.compile(r"\d+(-\d+)?\.")


class SunSpecOptions(UnitOptions):
    """A unit on a Modbus bus that speaks SunSpec, and what is known of it beforehand."""

    base: int | None = None  # where the marker stands; unless said looked for at 40000, 50000 and 0
    max_registers: int = LONGEST_READ  # longest read the device takes
    only: tuple[str, ...] | None = None  # read no others

    @field_validator("base")
    @classmethod
    def _base(cls, base: int | None) -> int | None:
        if base is not None and not 0 <= base <= 65530:
            raise ValueError(f"no map begins at {base}; write 40000, 50000 or 0, or leave it out")
        return base

    @field_validator("max_registers")
    @classmethod
    def _max_registers(cls, count: int) -> int:
        if not WIDEST <= count <= LONGEST_READ:
            text = f"reads of {count} registers do not do, a point may lie {WIDEST} from its scale factor"
            raise ValueError(f"{text}; write {WIDEST} to {LONGEST_READ}")
        return count

    @field_validator("only")
    @classmethod
    def _only(cls, only: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if only is not None and not only:
            raise ValueError("nothing to read; write the names to read, or leave `only` out")
        known = point_names() if only else []
        for name in only or ():
            plain = PREFIX.sub("", name, count=1)
            if plain not in known:
                near = difflib.get_close_matches(plain, known, 1)
                raise ValueError(f"no point is named {name!r}; write {near[0] if near else 'names like W, PhVphA, WH'}")
        return only


def _has_none(error: LinkError) -> bool:
    """Whether the device says that it has no such registers."""
    return error.reason == "exception" and error.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE)


@dataclass
class Walked:
    """What the last walk found; of the identity by SunSpec's names."""

    map: Map | None = None
    identity: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SunSpec(Polled):
    """Walks the models once and then reads them in as few turns as possible, each time with their headers.

    A device that restarted or was changed may have another map: where a header is not the walked one, no value is
    told, the models are walked again, and read from there.
    """

    options: SunSpecOptions
    link: ModbusLink
    walked: Walked = field(default_factory=Walked, init=False, compare=False, repr=False)

    async def read(self) -> list[Reading]:
        """All points; the common model's only after a walk, they do not change. Raises LinkError and DecodeError."""
        if self.walked.map is not None:
            try:
                return await self._poll(self.walked.map)
            except (DecodeError, LinkError) as error:
                if isinstance(error, LinkError) and not _has_none(error):
                    raise
                self.walked.map = None
        known = await self._walk()
        own = known_identity([reading for block in known.identity for reading in await self._decoded(block)])
        readings = await self._poll(known)
        self.walked.map, self.walked.identity = known, {r.name: str(r.value) for r in own}
        return readings + own

    async def _walk(self) -> Map:
        walked = walk(BASES if self.options.base is None else (self.options.base,))
        address, count = next(walked)
        try:
            while True:
                address, count = walked.send(await self._ask(address, count))
        except StopIteration as end:
            models: tuple[Model, ...] = end.value
        return Map(models, self.options.max_registers, self.options.only)

    async def _ask(self, address: int, count: int) -> bytes | None:
        """None where the device says that it has no such registers."""
        try:
            return await self._read(address, count)
        except LinkError as error:
            if _has_none(error):
                return None
            raise

    async def _poll(self, known: Map) -> list[Reading]:
        readings: list[Reading] = []
        for block in known.blocks:
            readings += await self._decoded(block)
        return known.checked(readings)

    async def _decoded(self, block: Block) -> list[Reading]:
        return block.decode(await self._read(block.address, block.count))

    async def _read(self, address: int, count: int) -> bytes:
        o = self.options
        return await self.link.read_block(o.unit_id, "holding", address, count, o.timeout, o.pause)

    def identity(self) -> dict[str, str | None]:
        """Maker and model, serial number and version of the first common model."""
        told = self.walked.identity
        model = " ".join(told[name] for name in ("Mn", "Md") if name in told)
        return {"model": model or None, "serial": told.get("SN"), "firmware": told.get("Vr")} if told else {}

    def quantities(self) -> dict[str, Quantity]:
        """Known only after the first read: it depends on the device which models it has."""
        return {} if self.walked.map is None else self.walked.map.quantities

    def traffic(self) -> list[tuple[int, int]]:
        """Before the walk: two reads as long as they may be, an inverter's and a meter's."""
        counts = [self.options.max_registers] * 2
        if self.walked.map is not None:
            counts = [block.count for block in self.walked.map.blocks]
        return [(REQUEST, AROUND_DATA + 2 * count) for count in counts]

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """Points of one model, or a map from its marker; `context` as in drivers/codecs/sunspec.py."""
        return decode_sunspec(data, context)
