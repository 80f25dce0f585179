"""One captured Modbus answer, decoded with no hardware: a whole RTU frame or bare words, and what is known of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from drivers.codecs.modbus_frame import READS, has_checksum, parse_answer
from drivers.codecs.register_map import BIT_TABLES, WORDS, Register
from drivers.codecs.registers import plan
from gateway import DecodeError, Reading, Table

BIT_NAMES = {"coil": "coil", "discrete": "input"}
_ORDER = re.compile(r"(ABCD|CDAB|BADC|DCBA|AB|BA)\b")
_TYPE = re.compile("|".join(WORDS))


@dataclass(frozen=True)
class Capture:
    """`count` registers or bits of a table, from `address`; `table` or `address` None: nobody said."""

    table: Table | None
    address: int | None
    count: int
    data: bytes

    def part(self, table: Table, address: int, count: int) -> bytes:
        """The data bytes an answer to a read of this part would have."""
        skip = address - (self.address or 0)
        if table not in BIT_TABLES:
            return self.data[2 * skip : 2 * (skip + count)]
        bits = int.from_bytes(self.data, "little") >> skip & (1 << count) - 1
        return bits.to_bytes((count + 7) // 8, "little")


def decode_capture(
    registers: Sequence[Register] | None, data: bytes, context: Mapping[str, str], one_table: bool = False
) -> list[Reading]:
    """Readings of the registers that lie wholly inside the capture; with no register list, of what `context` says.

    `context`, all optional but the address where registers are listed: `register_address`, `register_count`,
    `function` (1 coils, 2 discrete inputs, 3 holding, 4 input registers), `unit_id`, `framing` (RTU: a whole frame);
    with no list `data_type`, `word_order`, `scale` (`0.01 W`: with its unit). `one_table`: the device's holding and
    input registers are the same. Raises DecodeError.
    """
    capture = frame_or_words(data, context)
    if one_table and capture.table not in BIT_TABLES:
        capture = replace(capture, table=None)
    if registers is None:
        registers = _described(capture, context)
        capture = Capture(capture.table or "holding", capture.address or 0, capture.count, capture.data)
    return _decode(registers, capture)


def frame_or_words(data: bytes, context: Mapping[str, str]) -> Capture:
    """What was captured, taken out of its frame where it is in one. Raises DecodeError."""
    return _frame(data, context) if _is_frame(data, context) else _bare(data, context)


def _decode(registers: Sequence[Register], capture: Capture) -> list[Reading]:
    if capture.address is None:
        raise DecodeError("an answer does not say which registers it holds; add register_address, like 0x0034")
    start, end = capture.address, capture.address + capture.count
    inside = [
        register
        for register in registers
        if start <= register.extent[0]
        and register.extent[1] <= end
        and (register.table == capture.table if capture.table else register.table not in BIT_TABLES)
    ]
    tables = sorted({register.table for register in inside})
    if not inside:
        raise DecodeError(f"no register of the list lies in {capture.table or 'address'} {start}..{end - 1}")
    if len(tables) > 1:
        raise DecodeError(f"the words may be of {' or '.join(tables)}; add function, 3 holding, 4 input registers")
    readings = []
    for block in plan(inside, max_gap=capture.count):
        readings += block.decode(capture.part(block.table, block.address, block.count))
    return readings


def _is_frame(data: bytes, context: Mapping[str, str]) -> bool:
    """Bare words are even in number, frames of registers odd; a right checksum tells the others."""
    if framing := context.get("framing"):
        return framing.upper() == "RTU"
    return has_checksum(data) or (len(data) % 2 == 1 and number(context, "function") not in (1, 2))


def _frame(data: bytes, context: Mapping[str, str]) -> Capture:
    answer = parse_answer(data)
    for key, got in (("unit_id", answer.unit_id), ("function", answer.function)):
        wanted = number(context, key)
        if wanted is not None and wanted != got:
            raise DecodeError(f"the answer is of {key} {got}, not {wanted}")
    return _counted(answer.table, answer.data, context)


def _bare(data: bytes, context: Mapping[str, str]) -> Capture:
    function = number(context, "function")
    if function is not None and function not in READS:
        raise DecodeError(f"function {function} is not a read; reads are 1 to 4")
    return _counted(None if function is None else READS[function], data, context)


def _counted(table: Table | None, data: bytes, context: Mapping[str, str]) -> Capture:
    count = number(context, "register_count")
    if table in BIT_TABLES:
        count = 8 * len(data) if count is None else count
        fits = len(data) == (count + 7) // 8
    else:
        count = len(data) // 2 if count is None else count
        fits = len(data) == 2 * count
    if not data or not fits:
        raise DecodeError(f"{len(data)} data bytes are not {count or 'any'} {table or 'register'} values")
    address = number(context, "register_address")
    if (address or 0) + count > 65536:
        raise DecodeError(f"{count} values from address {address or 0} end behind address 65535")
    return Capture(table, address, count, data)


def _described(capture: Capture, context: Mapping[str, str]) -> list[Register]:
    """Registers as the context describes them: coil_0, coil_1 … or input_0 … of bits, else value, value.2 …"""
    address, table = capture.address or 0, capture.table or "holding"
    if table in BIT_TABLES:
        points = range(address, address + capture.count)
        return [Register(name=f"{BIT_NAMES[table]}_{point}", table=table, address=point) for point in points]
    order = context.get("word_order", "")
    match = _ORDER.match(order)
    if order and match is None:
        raise DecodeError(f"word_order {order!r} does not begin with an order; write ABCD, CDAB, BADC or DCBA")
    told = _TYPE.search(order)
    kind = context.get("data_type") or (told[0] if told else "uint16")
    scale, _, unit = context.get("scale", "1").strip().partition(" ")
    size = capture.count if kind == "text" else WORDS.get(kind, 1)
    if capture.count % size:
        raise DecodeError(f"{capture.count} registers are no whole number of {kind}, which has {size}")
    try:
        return [
            Register.model_validate(
                {
                    "name": f"value.{i + 1}" if i else "value",
                    "table": table,
                    "address": address + i * size,
                    "type": kind,
                    "length": size if kind == "text" else None,
                    "order": match[1] if match else "ABCD",
                    "unit": unit.strip() or None,
                    **({} if kind == "text" else {"scale": scale}),
                }
            )
            for i in range(capture.count // size)
        ]
    except ValidationError as error:
        fault = error.errors()[0]
        raise DecodeError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}") from None


def number(context: Mapping[str, str], key: str) -> int | None:
    """A number the context tells, 0 to 65535, or None. Raises DecodeError."""
    text = context.get(key)
    if text is None:
        return None
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise DecodeError(f"{key} {text!r} is no number from 0 to 65535; write it like 52 or 0x0034")
    return number
