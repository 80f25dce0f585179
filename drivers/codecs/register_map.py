"""One line of a register list, checked: the description of a Modbus register or bit that a profile or a site writes."""

import re
import struct
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway import Quantity, Table

RegisterType = Literal[
    "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "bcd16", "bcd32", "bcd64", "text"
]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA", "AB", "BA"]
Kind = Literal["measurement", "counter", "state", "event"]

FORMATS = {  # of struct; text has its own length
    "uint16": "H",
    "int16": "h",
    "uint32": "I",
    "int32": "i",
    "uint64": "Q",
    "int64": "q",
    "float32": "f",
    "float64": "d",
    "bcd16": "H",  # four decimal digits, one each four bits
    "bcd32": "I",
    "bcd64": "Q",
}
WORDS = {name: struct.calcsize(">" + form) // 2 for name, form in FORMATS.items()}
BIT_TABLES = ("coil", "discrete")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
FIRST_NUMBER = {"holding": 40001, "input": 30001, "discrete": 10001}  # the old numbering: table and address in one
MOST_DIGITS = 30
LONGEST_READ = 125  # registers; Modbus Application Protocol V1.1b3, 6.3 and 6.4


def _exact(value: Any) -> Decimal:
    """A decimal exactly as written; a float by the digits it prints with."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("not a number; write it like 0.01")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number; write it like 0.01") from None
    if not number.is_finite():
        raise ValueError(f"{value} is not a finite number; write it like 0.01")
    if len(number.as_tuple().digits) > MOST_DIGITS or abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError(f"more than {MOST_DIGITS} digits; write it like 0.01")
    return number


Exact = Annotated[Decimal, BeforeValidator(_exact)]


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        allowed = "ASCII letters, digits and - _ . : , at most 64, beginning with a letter or digit"
        raise ValueError(f"{name!r} is no name of a quantity; write {allowed}")
    return name


QuantityName = Annotated[str, AfterValidator(_name)]


class Register(BaseModel):
    """One quantity in a device's registers or bits. `address` counts from 0 as on the wire.

    value = raw * scale + offset, exactly; with a `scale_register` holding n, raw * 10^n * scale + offset. Names of
    orders: ABCD is high word and high byte first, CDAB low word first, BADC bytes swapped in each word, DCBA
    everything reversed; 64-bit types likewise; 16-bit ones only know bytes swapped (BADC, DCBA, BA) or not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: QuantityName
    table: Table
    address: int
    type: RegisterType | None = None  # uint16 unless said; bits have none
    length: int | None = None  # of text, in registers
    order: Order = "ABCD"
    scale: Exact = Decimal(1)
    offset: Exact = Decimal(0)
    scale_register: int | None = None  # address of an int16 of the same table: a power of ten
    unit: str | None = None
    missing: tuple[int, ...] = ()
    values: dict[int, str] | None = None
    bit: int | None = None
    bits: dict[int, str] | None = None  # NAME.TEXT, true or false, of each
    kind: Kind | None = None

    @field_validator("address", "scale_register")
    @classmethod
    def _address(cls, address: int | None, info: ValidationInfo) -> int | None:
        if address is not None and not 0 <= address <= 65535:
            first = FIRST_NUMBER.get(info.data.get("table", ""), 0) * 10 - 9  # 400001: six-digit form of 40001
            instead = address - first if 0 < first <= address <= first + 65535 else "0 to 65535"
            raise ValueError(f"address {address} cannot be on the wire; write {instead} (addresses count from 0)")
        return address

    @field_validator("type", "length", "order", "scale", "offset", "scale_register", "missing", "values", "bit", "bits")
    @classmethod
    def _belongs_to_words(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("table") in BIT_TABLES:
            table = info.data["table"]
            raise ValueError(f"`{info.field_name}` has no meaning for table {table}; leave it out, a {table} is a bit")
        return value

    @field_validator("length")
    @classmethod
    def _length(cls, length: int | None, info: ValidationInfo) -> int | None:
        if length is not None and info.data.get("type") != "text":
            raise ValueError("`length` is for type text; leave it out")
        if length is not None and not 1 <= length <= 125:
            raise ValueError(f"a text of {length} registers cannot be read; write 1 to 125")
        return length

    @field_validator("order")
    @classmethod
    def _order(cls, order: Order, info: ValidationInfo) -> Order:
        wide = WORDS.get(info.data.get("type") or "uint16", 1) > 1
        if wide and order in ("AB", "BA"):
            raise ValueError(f"order {order} is of one register; write ABCD, CDAB, BADC or DCBA")
        if info.data.get("type") == "text" and order in ("CDAB", "DCBA"):
            raise ValueError(f"text has no order {order}; write BADC where the two letters of a register are swapped")
        return order

    @field_validator("scale", "offset", "scale_register", "values", "bit", "bits")
    @classmethod
    def _not_for_text(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("type") == "text":
            raise ValueError(f"`{info.field_name}` has no meaning for type text; leave it out")
        if info.field_name == "scale" and value == 0:
            raise ValueError("scale 0 makes every value the same; write the step of one count, like 0.1")
        return value

    @field_validator("missing")
    @classmethod
    def _missing(cls, codes: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        kind = info.data.get("type") or "uint16"
        if kind == "text":
            raise ValueError("text has no codes for missing; leave it out, an empty text is not available")
        bits = 16 * WORDS[kind]
        for code in codes:
            if not -(1 << bits - 1 if kind.startswith("int") else 0) <= code < 1 << bits:
                raise ValueError(f"code {code} does not fit {kind}; write the raw code like {hex((1 << bits) - 1)}")
        return codes

    @field_validator("values", "bit", "bits")
    @classmethod
    def _of_whole_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return value
        kind = info.data.get("type") or "uint16"
        if kind.startswith("float"):
            raise ValueError(f"`{info.field_name}` needs a whole number, not {kind}; leave it out or correct `type`")
        if kind.startswith("bcd") and info.field_name != "values":
            raise ValueError(f"`{info.field_name}` has no meaning for decimal digits; leave it out or correct `type`")
        scaled = info.data.get("scale", 1) != 1 or info.data.get("offset", 0) != 0
        if scaled or info.data.get("scale_register") is not None:
            raise ValueError(f"`{info.field_name}` is of the raw number; leave out `scale` and `offset`")
        return value

    @field_validator("bit", "bits")
    @classmethod
    def _bit(cls, told: int | dict[int, str] | None, info: ValidationInfo) -> int | dict[int, str] | None:
        if told is None:
            return None
        most = 16 * WORDS.get(info.data.get("type") or "uint16", 1) - 1
        for bit in [told] if isinstance(told, int) else told or [0]:
            if not 0 <= bit <= most:
                raise ValueError(f"there is no bit {bit}; write 0 (the lowest) to {most}")
        if info.data.get("values") or info.data.get("bit") is not None:
            raise ValueError("a bit is true or false; leave out `values` or `bit`")
        return told

    @field_validator("bits")
    @classmethod
    def _bits(cls, bits: dict[int, str] | None, info: ValidationInfo) -> dict[int, str] | None:
        if bits is None:
            return None
        if not bits:
            raise ValueError("no bit is named; write them like {0: overvoltage, 3: overload}")
        for text in bits.values():
            if not NAME.fullmatch(name := f"{info.data.get('name')}.{text}"):
                raise ValueError(
                    f"{name!r} is no name of a quantity; write ASCII letters, digits and - _ . : , at most 64"
                )
        if len(set(bits.values())) < len(bits):
            raise ValueError("two bits have one name; write another for one of them")
        return bits

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.type == "text" and self.length is None:
            raise ValueError("a text needs its size; write `length: N`, N registers")
        if self.end > 65536:
            raise ValueError(f"{self.name} ends behind address 65535; write a lower address")
        if self.scale_register is not None and self.address <= self.scale_register < self.end:
            raise ValueError(f"{self.name} holds its own scale register; write the address of another")
        first, behind = self.extent
        if behind - first > LONGEST_READ:
            text = f"{self.name} and its scale register span {behind - first} registers, a read at most {LONGEST_READ}"
            raise ValueError(f"{text}; leave `scale_register` out and write `scale`, if it never changes")
        return self

    @property
    def raw_type(self) -> str:
        """The type on the wire; a bit register's is the word it stands in."""
        return self.type or "uint16"

    @property
    def size(self) -> int:
        """How many registers, or bits of a bit table."""
        return 1 if self.table in BIT_TABLES else self.length or WORDS[self.raw_type]

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.size

    @property
    def extent(self) -> tuple[int, int]:
        """What one read must hold for a value: from the first address to the one behind the last.

        Wider than the register where its scale register lies apart: both belong into one read, or value and power
        of ten would be of two moments.
        """
        if (at := self.scale_register) is None:
            return self.address, self.end
        return min(self.address, at), max(self.end, at + 1)

    @property
    def quantity(self) -> Quantity:
        """What is known of its readings beforehand."""
        told = self.table in BIT_TABLES or self.bit is not None or self.bits or self.values or self.type == "text"
        return Quantity(self.unit, self.kind or ("state" if told else "measurement"))

    @property
    def names(self) -> list[str]:
        """Of the readings it gives: one, or one for each named bit."""
        return [self.name] if self.bits is None else [f"{self.name}.{text}" for text in self.bits.values()]

    def numbered(self) -> int | None:
        """The wire address, where the address given looks like the old numbering (40017 of holding is 16)."""
        first = FIRST_NUMBER.get(self.table)
        return self.address - first if first and first <= self.address < first + 9999 else None
