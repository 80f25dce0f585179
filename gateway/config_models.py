"""What may stand in gateway.yaml, as pydantic models: gateway, hub, buffer, Modbus link, keys common to all devices.

Models are validated with a context {"base": folder of the configuration}; without one (built by a program) file
names are taken as they are. Validators raise ValueError with the text `what is wrong; what to write instead`.
"""

import os
import stat
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from gateway.amounts import DURATION_SCHEMA, Duration, DurationOrZero, Size
from gateway.links.base import ModbusLink
from gateway.names import check_gateway
from gateway.problem import show


class Part(BaseModel):
    """A group of keys: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class GatewayConfig(Part):
    """This gateway."""

    id: Annotated[str, AfterValidator(check_gateway)]
    labels: dict[str, str] = {}


def _found(value: Any, info: ValidationInfo) -> Any:
    """The absolute path of a file named by a `*_file` key."""
    if info.context is None or not isinstance(value, str):
        return value
    if not value:
        raise ValueError("the name of a file is missing; write it, or remove the key")
    places = [info.context["base"] / "secrets" / value]
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        places.insert(0, Path(credentials) / value)
    if Path(value).is_absolute():
        places = [Path(value)]
    try:
        return next(p for p in places if p.is_file()).absolute()
    except StopIteration:
        looked = " and ".join(str(p) for p in places)
        raise ValueError(f"no such file: looked for {looked}; put it there, or write an absolute path") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{show(value)} cannot be read: {_reason(error)}; check its folder's permissions") from None


def _secret(path: Path, info: ValidationInfo) -> Path:
    """Refuse a secret that others may read."""
    if info.context is not None:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {_reason(error)}; check its permissions") from None
        if mode & stat.S_IROTH:
            raise ValueError(f"{path} may be read by everybody on this machine; run chmod 600 {path}")
    return path


def _readable(path: Path, info: ValidationInfo) -> Path:
    if info.context is not None and not os.access(path, os.R_OK):
        raise ValueError(f"{path} may not be read by this user; run as its owner or as root, or change its owner")
    return path


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


_File = Annotated[Path, BeforeValidator(_found), AfterValidator(_readable)]
_SecretFile = Annotated[Path, BeforeValidator(_found), AfterValidator(_secret), AfterValidator(_readable)]


def _told(value: Any, info: ValidationInfo) -> Any:
    """The text of a secret file; a program gives the text itself."""
    if info.context is None or isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not the name of a file; write it in quotes")
    if "base" not in info.context:
        raise ValueError("a secret is no part of a profile; write it at the device")
    path = _readable(_secret(_found(value, info), info), info)
    try:
        return SecretStr(path.read_text("utf-8").strip())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {_reason(error)}; write text into it") from None


Secret = Annotated[SecretStr, BeforeValidator(_told, json_schema_input_type=str)]
"""An option of a driver, named `…_file`: the text of that file, which no log line and no repr shows."""


def _off(value: Any) -> Any:
    return None if value in ("off", False) else value


_DURATION_OR_OFF: Any = {"anyOf": [DURATION_SCHEMA, {"const": "off"}]}


class HubConfig(Part):
    """The hub's MQTT broker."""

    url: str
    client_id: str | None = Field(default=None, min_length=1, max_length=256)
    username: str | None = Field(default=None, min_length=1)
    password_file: _SecretFile | None = None
    ca_file: _File | None = None
    cert_file: _File | None = None
    key_file: _SecretFile | None = None
    prefix: str = "lab"
    state: Annotated[Duration | None, BeforeValidator(_off), WithJsonSchema(_DURATION_OR_OFF)] = 1.0
    unheard: Literal["accept", "hold"] = "accept"

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port; by default 1883, with TLS 8883."""
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("mqtts:")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        example = "write mqtts://HOST:8883 or mqtt://HOST:1883"
        if "://" not in url:
            raise ValueError(f"{show(url)} is not the address of a broker; {example}")
        parts = split_url(url, example)
        if parts.scheme not in ("mqtt", "mqtts"):
            raise ValueError(f"{parts.scheme}:// is not spoken here; {example}")
        if "@" in parts.netloc:
            raise ValueError(
                "user name and password do not belong in the url; write username: NAME and password_file: FILE"
            )
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"{show(url)} says more than host and port; {example}")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("password_file")
    @classmethod
    def _password_needs_user(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("username", "") is None:
            raise ValueError("a password without a user name; add username: NAME")
        return path

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _file_needs_tls(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("url", "mqtts:").startswith("mqtt:"):
            raise ValueError(f"{info.field_name} is used only with TLS; write url: mqtts://HOST:8883, or remove it")
        if path is not None and info.field_name == "key_file" and info.data.get("cert_file", path) is None:
            raise ValueError("a key without its certificate; add cert_file: FILE")
        return path

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, prefix: str) -> str:
        if not all(level and level.isprintable() and not set(level) & set("+#$ ") for level in prefix.split("/")):
            raise ValueError(f"{show(prefix)} cannot begin a topic; write it like lab or site/lab")
        return prefix


class BufferConfig(Part):
    """Where samples wait until the hub has confirmed them."""

    path: Path = Path("/var/lib/labgate/buffer.db")
    commit_every: Duration = 1.0
    max_bytes: Size = 10**9
    keep_free: Size = 200 * 10**6

    @field_validator("path")
    @classmethod
    def _path(cls, path: Path, info: ValidationInfo) -> Path:
        if path.name in ("", ".."):
            raise ValueError(f"{show(str(path))} is not a file; write it like /var/lib/labgate/buffer.db")
        return path if info.context is None else (info.context["base"] / path).absolute()

    @field_validator("max_bytes")
    @classmethod
    def _not_tiny(cls, size: int) -> int:
        if size < 10**6:
            raise ValueError("the buffer would hold nothing; write 1MB or more, 1GB is usual")
        return size


class ModbusLinkConfig(Part):
    """A Modbus bus: `tcp://HOST:PORT`, `rtu+tcp://HOST:PORT`, or the path of a serial port."""

    shape: ClassVar[type] = ModbusLink

    modbus: str
    baudrate: int = Field(default=9600, ge=50, le=4_000_000)
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    timeout: Duration = 1.0
    pause: DurationOrZero | None = None
    rs485: bool = False  # the kernel switches the direction, for a port whose adapter does not

    @property
    def kind(self) -> Literal["tcp", "rtu+tcp", "rtu"]:
        """How the bus is reached and framed."""
        if self.modbus.startswith("tcp:"):
            return "tcp"
        return "rtu+tcp" if self.modbus.startswith("rtu+tcp:") else "rtu"

    @property
    def host(self) -> str | None:
        """Host name or address; None for a serial port."""
        return None if self.kind == "rtu" else urlsplit(self.modbus).hostname

    @property
    def port(self) -> int | None:
        """TCP port, by default 502; None for a serial port."""
        return None if self.kind == "rtu" else urlsplit(self.modbus).port or 502

    @field_validator("modbus")
    @classmethod
    def _modbus(cls, where: str) -> str:
        example = "write tcp://HOST:502, rtu+tcp://HOST:PORT or /dev/serial/by-id/…"
        if where.startswith("/") and len(where) > 1:
            return where
        if "://" not in where:
            raise ValueError(f"{show(where)} is not a Modbus bus; {example}")
        parts = split_url(where, example)
        if parts.scheme not in ("tcp", "rtu+tcp"):
            raise ValueError(f"{parts.scheme}:// is not spoken here; {example}")
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"{show(where)} says more than host and port; {example}")
        return f"{parts.scheme}://{parts.netloc}"


def split_url(url: str, example: str) -> SplitResult:
    """Take a URL apart. Raises ValueError unless it has a host, and no port or a valid one."""
    if not url.isprintable() or " " in url:
        raise ValueError(f"{show(url)} holds a character that no address has; {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{show(url)} has a host or port that cannot be; {example}") from None
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{show(url)} lacks a host or a port; {example}")
    return parts


class DeviceKeys(Part):
    """The keys every device may have; all others are its driver's options."""

    driver: str | None = Field(default=None, min_length=1, max_length=255)
    profile: str | None = Field(default=None, min_length=1, max_length=255)
    link: str | None = None
    every: Duration | None = None
    silent_after: Duration | None = None
    klass: Literal["alarm", "normal", "bulk"] = Field(default="normal", alias="class")
    labels: dict[str, str] = {}
    max_quantities: int = Field(default=64, ge=1, le=10_000)
    isolate: bool = False


DEVICE_KEYS = frozenset(f.alias or name for name, f in DeviceKeys.model_fields.items())
