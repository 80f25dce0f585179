"""Any device that answers a request with a binary frame, where a profile says what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.codecs.frame_fields import FrameOptions, Hex, decode_capture
from gateway import DecodeError, Duration, Options, Polled, Quantity, Reading, SerialLink


class AskedFrameOptions(FrameOptions):
    """As of frames that come by themselves, and what to ask."""

    request: Hex
    start: Hex | None = None  # sent once when the answer is not a frame that makes sense: the device may sleep
    timeout: Duration | None = None  # the link's own unless said


@dataclass(frozen=True)
class AskedFrames(Polled):
    """One question and one frame a period."""

    options: AskedFrameOptions
    link: SerialLink

    async def read(self) -> list[Reading]:
        """The numbers of the answer; none while the device is warming up. Raises LinkError and DecodeError."""
        o = self.options
        frame = await self.link.ask(o.request, (o.framing,), o.timeout)
        try:
            return o.readings(frame)
        except DecodeError as error:
            if o.start is None:
                raise
            await self.link.ask(o.start, (o.framing,), o.timeout)
            raise DecodeError(f"{error}; it was told to start measuring") from None

    def quantities(self) -> dict[str, Quantity]:
        """Unit and kind of each field."""
        return self.options.quantities

    def traffic(self) -> list[tuple[int, int]]:
        """Bytes of the request and of the answer."""
        return [(len(self.options.request), self.options.size or 0)]

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured answer."""
        return decode_capture(options, data)
