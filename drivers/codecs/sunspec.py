"""SunSpec devices: the walk through their models, and what is read of these. Pure: it is told what was read."""

import struct
from collections.abc import Collection, Generator, Iterable, Mapping
from typing import NamedTuple

from drivers.codecs.modbus_capture import frame_or_words, number
from drivers.codecs.register_map import LONGEST_READ, Register
from drivers.codecs.registers import Block, plan
from drivers.codecs.sunspec_points import COMMON, MODELS, registers
from gateway import DecodeError, Quantity, Reading

MARKER = b"SunS"
BASES = (40000, 50000, 0)  # where the marker may stand, SunSpec Device Information Model Specification
END = 0xFFFF  # id behind the last model
MOST_MODELS = 100  # of one device; the longest known maps have some forty
WIDEST = 33  # registers from a point to the one behind its scale factor, in models 201 to 204

SPANNED = 40  # registers nobody asked for that a read may span: all of a map can be read, and a turn costs as much

HEADER = struct.Struct(">HH")  # id, length

Walk = Generator[tuple[int, int], bytes | None, "tuple[Model, ...]"]


class Model(NamedTuple):
    """One model of a device: `address` is that of its id, `length` its registers without id and length."""

    id: int
    address: int
    length: int

    @property
    def data(self) -> int:
        """Address of its first point."""
        return self.address + 2


def walk(bases: Iterable[int] = BASES) -> Walk:
    """Finds the marker and the models behind it.

    Asks for (address, count) registers and is sent their bytes, or None where the device refuses them. Returns the
    models in the order of their addresses; raises DecodeError where no map is, or one that cannot be.
    """
    tried = []
    for base in bases:
        if (yield base, 2) == MARKER:
            break
        tried.append(str(base))
    else:
        raise DecodeError(f"no SunSpec map at {', '.join(tried)}; write `base`, or another `unit_id`")
    found: list[Model] = []
    address = base + 2
    while True:
        header = yield address, 2
        if header is None and found:
            return tuple(found)  # the end model is left out by some: behind the last one nothing can be read
        if header is None or len(header) != HEADER.size:
            raise DecodeError(f"behind the SunSpec marker at {base} no model can be read")
        model, length = HEADER.unpack(header)
        if model == END:
            return tuple(found)
        if model == 0 or length == 0 or address + 2 + length >= 65536 or len(found) == MOST_MODELS:
            told = f"{len(found) + 1}. model at {address} has id {model} and length {length}"
            raise DecodeError(f"broken SunSpec map: the {told}")
        found.append(Model(model, address, length))
        address += 2 + length


def prefixes(models: Iterable[Model]) -> list[str]:
    """What stands before the point names of each model.

    Nothing before those of the first common model and of the first other one that is read: an inverter's are the
    plain names. A meter behind it has `203.`, a second one `203-2.`, the common model of that `1-2.`.
    """
    seen: dict[int, int] = {}
    plain = {COMMON: False, 0: False}  # given away? of the common model, of all others
    found = []
    for model in models:
        n = seen[model.id] = seen.get(model.id, 0) + 1
        family = COMMON if model.id == COMMON else 0
        free = model.id in MODELS and not plain[family]
        plain[family] |= free
        found.append("" if free else f"{model.id}." if n == 1 else f"{model.id}-{n}.")
    return found


class Map:
    """What is read of a walked device: the common models once (`identity`), all others at each poll (`blocks`)."""

    def __init__(
        self, models: Collection[Model], max_registers: int = LONGEST_READ, only: Collection[str] | None = None
    ) -> None:
        """`only`: readings to read; None: all. Raises DecodeError when nothing is to be read at each poll."""
        identity: list[Register] = []
        points: list[Register] = []
        self.quantities: dict[str, Quantity] = {}
        self._headers: dict[str, int] = {}
        for model, prefix in zip(models, prefixes(models), strict=True):
            if model.id not in MODELS:
                continue
            own = registers(model.id, model.data, model.length, prefix)
            own = [register for register in own if only is None or register.name in only]
            self.quantities |= {register.name: register.quantity for register in own}
            if model.id == COMMON:
                identity += own
            elif own:
                points += own + self._header(model)
        if not points:
            ids = ", ".join(str(model.id) for model in models) or "none"
            raise DecodeError(f"nothing to read in this SunSpec device; its models: {ids}")
        self.identity = plan(identity, max_registers, SPANNED)
        self.blocks: tuple[Block, ...] = plan(points, max_registers, SPANNED)

    def _header(self, model: Model) -> list[Register]:
        """Id and length are read along: a device that was changed or restarted may have another map."""
        lines = []
        for name, value, at in (("ID", model.id, model.address), ("L", model.length, model.address + 1)):
            self._headers[f"{at}:{name}"] = value
            lines.append(Register(name=f"{at}:{name}", table="holding", address=at))
        return lines

    def checked(self, readings: Iterable[Reading]) -> list[Reading]:
        """The readings of one poll without the headers. Raises DecodeError when these are no longer the walked ones."""
        found = []
        for reading in readings:
            told = self._headers.get(reading.name)
            if told is None:
                found.append(reading)
            elif told != reading.value:
                at, _, what = reading.name.partition(":")
                raise DecodeError(f"the SunSpec map has changed: {what} at {at} was {told}, is {reading.value}")
        return found


def known_identity(readings: Iterable[Reading]) -> list[Reading]:
    """Without serial numbers that are none: a SolarEdge meter says 0."""
    return [r for r in readings if not (r.value == "0" and r.name.rpartition(".")[2] == "SN")]


def decode_sunspec(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """Readings of captured registers (bare, or a whole RTU frame).

    `context`: `model`, whose points the data are, from the first register behind id and length; `model_length`, where
    the device has it shorter. Without a model the data begin at the marker; as far as they go, the models are walked
    and decoded. Raises DecodeError.
    """
    words = frame_or_words(data, context).data
    model, length = number(context, "model"), number(context, "model_length")
    if model is None:
        return _decode_map(words)
    if model not in MODELS:
        raise DecodeError(f"model {model} is not read; known are {', '.join(map(str, MODELS))}")
    size = len(words) // 2
    if _has_header(words, model, length) and "after" not in context.get("input_starts_at", ""):
        words, size = words[4:], size - 2
    return _decode_points(registers(model, 0, min(size, length or size)), words, f"model {model}")


def _has_header(words: bytes, model: int, length: int | None) -> bool:
    """Whether id and length stand before the points after all."""
    return len(words) >= 4 and HEADER.unpack(words[:4]) == (model, length or len(words) // 2 - 2)


def _decode_map(words: bytes) -> list[Reading]:
    if words[:4] != MARKER:
        raise DecodeError("neither `model` is given (--context model=103) nor begins the input with the SunSpec marker")
    readings = [Reading("marker", "SunS")]
    size = len(words) // 2
    if size < 4:
        return readings
    walked = walk([0])
    asked = next(walked)
    try:
        while True:
            address, count = asked
            part = words[2 * address : 2 * (address + count)]
            asked = walked.send(part if len(part) == 2 * count else None)
    except StopIteration as end:
        models: tuple[Model, ...] = end.value
    if models:
        readings += [Reading("first_model", models[0].id), Reading("first_model_length", models[0].length)]
    for model, prefix in zip(models, prefixes(models), strict=True):
        if model.id in MODELS:
            points = registers(model.id, model.data, min(model.length, size - model.data), prefix)
            readings += known_identity(_decode_points(points, words, None))
    return readings


def _decode_points(points: list[Register], words: bytes, what: str | None) -> list[Reading]:
    if not points and what is not None:
        raise DecodeError(f"no point of {what} lies in {len(words) // 2} registers")
    readings: list[Reading] = []
    for block in plan(points, max_gap=LONGEST_READ):
        readings += block.decode(words[2 * block.address : 2 * (block.address + block.count)])
    return readings
