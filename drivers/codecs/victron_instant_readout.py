"""Victron Instant Readout: what Victron's Smart devices advertise, with a key of each device's own.

Source: Victron Energy, Extra Manufacturer Data, 2022-12-14. Manufacturer data of company 0x02E1: 0x10 and a length,
the product's number, the kind of record, a nonce, the first byte of the key in clear, and the record in AES-CTR.
"""

from collections.abc import Mapping

from drivers.codecs.advert_capture import captured_advert, captured_data, with_name
from drivers.codecs.bindkey import ctr_opened, key_of
from drivers.codecs.victron_records import AUX, AUX_MODE, AUXILIARY, RECORDS, Field
from gateway import DecodeError, Quantity, Reading

COMPANY = 0x02E1
INSTANT_READOUT = 0x10
NONCE = slice(5, 7)  # changes with every record
_HEAD = 8  # bytes before the record


def product(data: bytes) -> str:
    """The number of the product, as Victron's lists have it: 0xA042."""
    return f"0x{int.from_bytes(data[2:4], 'little'):04X}"


def readings(data: bytes, key: bytes | None) -> list[Reading]:
    """What a record says. Raises DecodeError, for a wrong key too."""
    if len(data) <= _HEAD or data[0] != INSTANT_READOUT:
        raise DecodeError(f"Victron: no Instant Readout in {data[:1].hex() or 'nothing'}; enable it in VictronConnect")
    if key is None:
        raise DecodeError("Victron: encrypted; write bindkey_file: NAME at the device, the key is in VictronConnect")
    if data[7] != key[0]:
        raise DecodeError("Victron: encrypted with another key; compare the file with Product info in VictronConnect")
    fields = RECORDS.get(data[4])
    if fields is None:
        raise DecodeError(f"Victron: records of kind 0x{data[4]:02X} are not known here; update labgate")
    record = ctr_opened(key, int.from_bytes(data[NONCE], "little"), data[_HEAD:])
    size = -(-sum(field.bits for field in fields) // 8)
    if len(record) < size:
        raise DecodeError(f"Victron: a record of {len(record)} bytes, not {size}; it was cut off")
    return _fields(fields, int.from_bytes(record, "little"))


def quantities(data: bytes) -> dict[str, Quantity]:
    """Unit and kind of what records of this kind say."""
    fields = RECORDS.get(data[4], ())
    named = [field for field in fields if field not in (AUX, AUX_MODE)]
    if AUX in fields:
        named += AUXILIARY.values()
    return {field.name: Quantity(field.unit, field.kind) for field in named}


def _fields(fields: tuple[Field, ...], bits: int) -> list[Reading]:
    found: list[Reading] = []
    aux = 0
    for field in fields:
        raw, bits = bits & (1 << field.bits) - 1, bits >> field.bits
        if field is AUX:
            aux = raw
        elif field is AUX_MODE:
            if raw in AUXILIARY:
                found += _reading(AUXILIARY[raw], aux)
        else:
            found += _reading(field, raw)
    return found


def _reading(field: Field, raw: int) -> list[Reading]:
    none = (1 << field.bits - field.signed) - 1 if field.missing is None else field.missing
    if raw == none:
        return []
    if field.values is not None:
        text = field.values.get(raw)
        return [Reading(field.name, text) if text else Reading(field.name, str(raw), quality="suspect")]
    if field.signed and raw >> field.bits - 1:
        raw -= 1 << field.bits
    value = (raw + field.offset) * field.factor
    return [Reading(field.name, value if field.divisor == 1 else value / field.divisor, field.unit)]


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured advert; `context` as in drivers/codecs/advert_capture.py, and `bindkey`. Raises DecodeError."""
    found = readings(captured_data(data, context, COMPANY), key_of(context))
    if not found:
        raise DecodeError("Victron: the record is whole and says nothing; the device is off")
    return with_name(found, captured_advert(data, context, COMPANY))
