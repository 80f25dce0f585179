"""An advert out of what was captured, for `labgate decode`: manufacturer data, service data, or a whole payload.

Sources: Bluetooth Core Specification 5.4, Volume 3, Part C, section 11 (format of advertising data); Supplement to
the Bluetooth Core Specification, Part A, section 1 (its types); Assigned Numbers, section 2.3.
"""

from collections.abc import Iterator, Mapping

from drivers.codecs.radio_peer import ADDRESS, long_uuid
from gateway import Advert, DecodeError, Reading

_UUIDS = {0x02: 2, 0x03: 2, 0x04: 4, 0x05: 4, 0x06: 16, 0x07: 16}  # AD type -> bytes of each UUID in the list
_SERVICE_DATA = {0x16: 2, 0x20: 4, 0x21: 16}  # AD type -> bytes of the UUID before the data
_NAMES = (0x08, 0x09)  # shortened, complete
_MANUFACTURER_DATA = 0xFF


def captured_advert(
    data: bytes, context: Mapping[str, str], company: int | None = None, service: str | None = None
) -> Advert:
    """What was captured, as an advert; the address is empty where `context` does not say it.

    `context`: `ad_type=raw_advertising_payload` for a whole payload, else `company_id` or `service_uuid`; without any
    of them it is manufacturer data of `company`, or data of `service`. `address`, `name`. Raises DecodeError.
    """
    address = context.get("address", "").upper()
    if address and not ADDRESS.fullmatch(address):
        raise DecodeError(f"address={address} is not the address of a Bluetooth device; write CB:B8:33:4C:88:4F")
    if context.get("ad_type") == "raw_advertising_payload":
        return advert_of_payload(data, address)
    if "company_id" in context:
        company, service = _company(context["company_id"]), None
    elif "service_uuid" in context:
        company, service = None, _uuid(context["service_uuid"])
    return Advert(
        address,
        context.get("name"),
        company={} if company is None else {company: data},
        service={} if service is None else {service: data},
    )


def advert_of_payload(data: bytes, address: str = "") -> Advert:
    """Flags, names, UUIDs and data of a whole advertising payload. Raises DecodeError where one of them is cut off."""
    name: str | None = None
    company: dict[int, bytes] = {}
    service: dict[str, bytes] = {}
    services: list[str] = []
    for kind, body in _structures(data):
        if kind in _NAMES:
            name = body.decode("utf-8", "replace")
        elif kind == _MANUFACTURER_DATA and len(body) >= 2:
            company[int.from_bytes(body[:2], "little")] = body[2:]
        elif (size := _SERVICE_DATA.get(kind, 0)) and len(body) >= size:
            service[_of_bytes(body[:size])] = body[size:]
        elif size := _UUIDS.get(kind, 0):
            services += [_of_bytes(body[i : i + size]) for i in range(0, len(body) - size + 1, size)]
    return Advert(address, name, company=company, service=service, services=tuple(services))


def captured_data(
    data: bytes, context: Mapping[str, str], company: int | None = None, service: str | None = None
) -> bytes:
    """What `company` or `service` says in a capture, as `captured_advert` has it. Raises DecodeError."""
    return advert_data(captured_advert(data, context, company, service), company, service)


def advert_data(advert: Advert, company: int | None = None, service: str | None = None) -> bytes:
    """The manufacturer data of `company` in an advert, or the data of `service`. Raises DecodeError without."""
    found = advert.company.get(company) if company is not None else advert.service.get(service or "")
    if found is None:
        wanted = (
            f"manufacturer data of company 0x{company:04X}" if company is not None else f"data of service {service}"
        )
        there = [f"company 0x{number:04X}" for number in advert.company] + [
            f"service {uuid}" for uuid in advert.service
        ]
        raise DecodeError(f"advert without {wanted}: it has {', '.join(there) or 'no data'}; is it of another device?")
    return found


def with_name(readings: list[Reading], advert: Advert) -> list[Reading]:
    """Readings of a capture, and the name the device had in it."""
    return [*readings, Reading("local_name", advert.name)] if advert.name else readings


def with_rssi(readings: list[Reading], advert: Advert) -> list[Reading]:
    """Readings of a device, and how strong it was heard (dBm)."""
    if advert.rssi is not None:
        readings.append(Reading("rssi", advert.rssi, "dBm"))
    return readings


def mac(data: bytes) -> str:
    """Six bytes as an address is written: CB:B8:33:4C:88:4F."""
    return data.hex(":").upper()


def uuid(data: bytes) -> str:
    """Sixteen bytes, high byte first, as a UUID is written."""
    digits = data.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _structures(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and (length := data[at]):  # length 0 ends the significant part
        if at + 1 + length > len(data):
            raise DecodeError(f"advertising payload of {len(data)} bytes: cut off inside the structure at byte {at}")
        yield data[at + 1], data[at + 2 : at + 1 + length]
        at += 1 + length


def _of_bytes(little: bytes) -> str:
    return uuid(little[::-1]) if len(little) == 16 else long_uuid(little[::-1].hex())


def _company(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise DecodeError(f"company_id={text!r} is not a number; write it like 0x0499") from None


def _uuid(text: str) -> str:
    try:
        return long_uuid(text)
    except ValueError as error:
        raise DecodeError(f"service_uuid: {error}") from None
