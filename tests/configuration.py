"""For tests of the configuration: a folder with files, loaded, and what is told about it."""

from pathlib import Path

from gateway.config import Site, load_site

# A driver beside the configuration, with one of each kind of option.
DRIVER = """
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway import Duration, ModbusLink, Options, Polled


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    address: int = Field(ge=0, le=65535)
    table: Literal["holding", "input"] = "input"
    scale: Decimal = Decimal(1)
    ratio: float = 1.0
    unit: str | None = None
    values: dict[int, str] = {}
    missing: tuple[int, ...] = ()


class ProbeOptions(Options):
    unit_id: int = Field(ge=1, le=247)
    points: tuple[Point, ...] = Field(default=(), min_length=1)
    wait: Duration | None = None
    fast: bool = False
    low: int = 0
    high: int = 10

    @field_validator("points")
    @classmethod
    def _names(cls, points):
        if len({p.name for p in points}) < len(points):
            raise ValueError("two points have the same name; rename one of them")
        return points

    @model_validator(mode="after")
    def _order(self):
        if self.low > self.high:
            raise ValueError("low is above high; exchange them")
        return self

    def warnings(self):
        return [
            (("points", n, "address"), f"address {p.address} looks old", f"write {p.address - 40001}")
            for n, p in enumerate(self.points)
            if p.address > 40000
        ]


@dataclass(frozen=True)
class Probe(Polled):
    options: ProbeOptions
    link: ModbusLink

    async def read(self):
        return []
"""

PROFILE = """\
driver: ./probe.py
vendor: Lab
model: P1
version: 2
source: the manual, page 3
factory: {baudrate: 2400}
points:
  - {name: a, address: 1, unit: V}
"""

HEAD = """\
gateway: {id: g1}
links:
  bus: {modbus: "tcp://192.0.2.1"}
devices:
"""


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Files by their path below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def load(folder: Path, text: str | bytes, **files: str | bytes) -> Site:
    """The site of `gateway.yaml` with this text, beside it probe.py, a profile p1, and `files` (`__` stands for /)."""
    beside = {
        name.replace("__", "/") + (".yaml" if "." not in name else ""): content for name, content in files.items()
    }
    write(folder, {"gateway.yaml": text, "probe.py": DRIVER, "profiles/p1.yaml": PROFILE} | beside)
    return load_site(folder / "gateway.yaml")


def device(folder: Path, body: str, **files: str | bytes) -> Site:
    """A site with one good link `bus` (line 3) and the devices of `body`, which begins in line 5."""
    return load(folder, HEAD + body, **files)


def told(site: Site) -> list[str]:
    """Every problem as a person reads it, file names without the folder."""
    folder = f"{site.path.parent}/"
    return [str(p).replace(folder, "") for p in site.problems]


def marked(text: str) -> tuple[str, str]:
    """The text without its mark », and LINE:COL of the character behind the mark."""
    before, _, after = text.partition("»")
    return before + after, f"{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"
