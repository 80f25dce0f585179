"""Any device that sends binary frames by itself, where a profile says what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.codecs.frame_fields import FrameOptions, decode_capture
from gateway import Framing, Listener, Options, Quantity, Reading, SerialLink


@dataclass(frozen=True)
class Frames(Listener):
    """Each frame is a sample."""

    options: FrameOptions
    link: SerialLink

    @property
    def hear(self) -> tuple[Framing, ...]:
        """The one frame there is."""
        return (self.options.framing,)

    def decode(self, frame: bytes) -> list[Reading]:
        """The numbers of a frame; none while the device is warming up. Raises DecodeError."""
        return self.options.readings(frame)

    def quantities(self) -> dict[str, Quantity]:
        """Unit and kind of each field."""
        return self.options.quantities

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured frame."""
        return decode_capture(options, data)
