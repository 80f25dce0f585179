"""HDLC frames of meters: where they begin and end, and what they carry (ISO/IEC 13239, format type 3; IEC 62056-46)."""

from gateway import DecodeError, Headed, checksum

FRAME = Headed(
    b"\x7e",
    length_at=1,
    length_size=2,
    length_mask=0x07FF,
    length_rest=0xA000,  # format type 3, not segmented
    length_adds=2,  # both flags
    tail=b"\x7e",
    checksum="crc16_x25",
    checked_from=1,
    checked_to=-3,
)


def information(frame: bytes) -> bytes:
    """What stands between the frame's header and its checksum, which the framing has checked. Raises DecodeError."""
    at = 3
    for _ in ("destination", "source"):
        end = next((i for i in range(at, min(at + 4, len(frame))) if frame[i] & 1), None)  # the last byte is odd
        if end is None:
            raise DecodeError("HDLC frame: an address of more than four bytes")
        at = end + 1
    header, rest = frame[1 : at + 1], frame[at + 1 : -3]  # `at` is the control byte
    if len(rest) < 2:
        raise DecodeError("HDLC frame: it carries nothing")
    if checksum("crc16_x25", header) != int.from_bytes(rest[:2], "little"):
        raise DecodeError("HDLC frame: the checksum of the header is wrong")
    return rest[2:]
