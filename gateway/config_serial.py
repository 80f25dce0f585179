"""A serial line in gateway.yaml: a port of this host by path or by what is plugged in, or a serial server."""

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, field_validator, model_validator

from gateway.amounts import Duration, DurationOrZero
from gateway.config_models import Part, split_url
from gateway.links.base import SerialLink
from gateway.problem import show

_EXAMPLE = 'write /dev/serial/by-id/…, tcp://HOST:PORT, or {usb: {path: "1-1.3"}}'


def _usb_id(value: Any) -> Any:
    """0x0403 is a number to YAML, and four hexadecimal digits to everybody else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF:
        return f"{value:04x}"
    if isinstance(value, str) and len(value) == 4 and all(c in "0123456789abcdefABCDEF" for c in value):
        return value.lower()
    raise ValueError(f"{show(value)} is no USB id; write it like 0x0403")


UsbId = Annotated[str, BeforeValidator(_usb_id), WithJsonSchema({"type": ["integer", "string"]})]


class UsbPort(Part):
    """What is plugged in (`vid`, `pid`, `serial`), or where (`path`, like "1-1.3")."""

    vid: UsbId | None = None
    pid: UsbId | None = None
    serial: str | None = None
    path: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "UsbPort":
        if not (self.vid or self.serial or self.path):
            raise ValueError('any port would do; write vid and pid, serial, or path: "1-1.3"')
        return self

    def __str__(self) -> str:
        """As in the configuration."""
        told = [f"{key} {value}" for key, value in self.model_dump(exclude_none=True).items()]
        return f"the USB port with {', '.join(told)}"


def _where(value: Any) -> Any:
    """`{usb: {…}}` as a UsbPort; all else as it is."""
    if not isinstance(value, dict):
        if not isinstance(value, str):
            raise ValueError(f"{show(value)} is no serial port; {_EXAMPLE}")
        return value
    if set(value) != {"usb"} or not isinstance(value["usb"], dict):
        raise ValueError(f"a port is named by usb alone; {_EXAMPLE}")
    try:
        return UsbPort.model_validate(value["usb"])
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise ValueError(f"unknown key {show(key)} of usb; write vid, pid, serial or path") from None
        text = first["msg"].removeprefix("Value error, ")
        raise ValueError(text if first["type"] == "value_error" else f"{key} is no text; write it in quotes") from None


_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"usb": {"type": "object"}}}]}
Where = Annotated[str | UsbPort, BeforeValidator(_where), WithJsonSchema(_SCHEMA)]


class SerialLinkConfig(Part):
    """A serial line: the path of a port, `{usb: {…}}`, or `tcp://HOST:PORT` of a serial server."""

    shape: ClassVar[type] = SerialLink

    serial: Where
    baudrate: int = Field(default=9600, ge=50, le=4_000_000)
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["N", "E", "O", "M", "S"] = "N"
    stopbits: Literal[1, 2] = 1
    dtr: bool = True  # false: the line stays low, for a board that DTR resets
    rts: bool = True
    timeout: Duration = 1.0
    pause: DurationOrZero = 0.0

    @property
    def host(self) -> str | None:
        """Host name or address of a serial server; None for a port of this host."""
        return self._server.hostname if self._server else None

    @property
    def port(self) -> int | None:
        """TCP port of a serial server."""
        return self._server.port if self._server else None

    @property
    def usb(self) -> UsbPort | None:
        """What or where the port is plugged in, where that is how it is named."""
        return self.serial if isinstance(self.serial, UsbPort) else None

    @property
    def _server(self) -> SplitResult | None:
        where = self.serial
        return urlsplit(where) if isinstance(where, str) and where.startswith("tcp://") else None

    @field_validator("serial")
    @classmethod
    def _serial(cls, where: str | UsbPort) -> str | UsbPort:
        if isinstance(where, UsbPort) or (where.startswith("/") and len(where) > 1):
            return where
        if "://" not in where:
            raise ValueError(f"{show(where)} is no serial port; {_EXAMPLE}")
        parts = split_url(where, _EXAMPLE)
        if parts.scheme != "tcp":
            raise ValueError(f"{parts.scheme}:// is not spoken here; {_EXAMPLE}")
        if parts.port is None:
            raise ValueError(f"{show(where)} lacks a port; {_EXAMPLE}")
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"{show(where)} says more than host and port; {_EXAMPLE}")
        return f"tcp://{parts.netloc}"
