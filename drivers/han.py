"""Swedish electricity meters on their customer (HAN) port: ASCII P1 and Aidon's lists, recognised by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.codecs import aidon_hdlc_se, hdlc, p1_dsmr
from drivers.codecs.captures import captured_frame
from gateway import Framing, Listener, Options, Quantity, Reading, SerialLink

COUNTERS = ("1-0:1.8.0", "1-0:2.8.0", "1-0:3.8.0", "1-0:4.8.0")  # energy and reactive energy, import and export


class HanOptions(Options):
    """Nothing need be told."""

    checksum: bool = True  # false: a meter that never sends one is believed without


@dataclass(frozen=True)
class Han(Listener):
    """Each telegram, one every 10 s or oftener, is a sample. Names are OBIS codes, units as the meter prints them."""

    options: HanOptions
    link: SerialLink

    @property
    def hear(self) -> tuple[Framing, ...]:
        """Both at once: neither looks like the other."""
        return (hdlc.FRAME, p1_dsmr.TELEGRAM)

    def decode(self, frame: bytes) -> list[Reading]:
        """Readings of a telegram or a list. Raises DecodeError, without a word of what the telegram says."""
        return _readings(frame, self.options.checksum)

    def quantities(self) -> dict[str, Quantity]:
        """What every Swedish meter counts; units are the meter's own, W or kW."""
        return {p1_dsmr.CLOCK: Quantity(kind="state")} | {name: Quantity(kind="counter") for name in COUNTERS}

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured telegram or list; `context` as in drivers/codecs/p1_dsmr.py."""
        if data.lstrip().startswith(b"/"):
            lax = isinstance(options, HanOptions) and not options.checksum
            return p1_dsmr.decode_input(data, {"checksum": "none"} if lax else context)
        return aidon_hdlc_se.readings(captured_frame([hdlc.FRAME], data))


def _readings(frame: bytes, checked: bool) -> list[Reading]:
    return aidon_hdlc_se.readings(frame) if frame[0] == hdlc.FRAME.header[0] else p1_dsmr.readings(frame, checked)
