"""Profiles: a driver's knowledge as data, found next to the configuration, then in labgate, or by path."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.amounts import Duration
from gateway.driver import BUILT_IN
from gateway.errors import ConfigError
from gateway.names import check_name
from gateway.problem import Fault, halves, or_known, show
from gateway.validation import check_keys
from gateway.yamltext import Document, read_yaml

FOLDER = "profiles"


def _as_text(value: Any) -> Any:
    """`version: 1` and `version: "1"` are the same."""
    return str(value) if not isinstance(value, (str, dict, list, bool, type(None))) else value


class ProfileKeys(BaseModel):
    """The keys every profile may have; all others are options of its driver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: str = Field(min_length=1, max_length=255)
    like: str | None = None
    vendor: str | None = None
    model: Annotated[str | None, BeforeValidator(_as_text)] = None
    version: Annotated[str, BeforeValidator(_as_text)] = "1"
    source: str | None = None
    factory: dict[str, Any] = {}
    vectors: list[Any] = []
    every: Duration | None = None
    silent_after: Duration | None = None


PROFILE_KEYS = frozenset(ProfileKeys.model_fields)


@dataclass(frozen=True)
class Profile:
    """What is known of a device model. `options` are its driver's, not yet checked."""

    name: str
    driver: str
    vendor: str | None = None
    model: str | None = None
    version: str = "1"
    source: str | None = None  # where the facts come from
    factory: dict[str, Any] = field(default_factory=dict)  # line settings as shipped
    vectors: list[Any] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    every: float | None = None  # s
    silent_after: float | None = None  # s


@dataclass
class ProfileFile:
    """A profile as it was read; `profile` is None when its own keys are wrong."""

    document: Document
    profile: Profile | None
    faults: list[Fault]

    @property
    def built_in(self) -> bool:
        """Whether it came with labgate."""
        return Path(self.document.file).parent in _built_in()


def load_profile(name_or_path: str, base: Path) -> Profile:
    """Find and read a profile: a name, or a path that ends in .yaml (relative to `base`). Raises ConfigError."""
    read = read_profile(name_or_path, base)
    if read.faults or read.profile is None:
        fault = read.faults[0]
        raise ConfigError(f"{read.document.place(fault)}: {fault.text}; {fault.instead}")
    return read.profile


def read_profile(name_or_path: str, base: Path) -> ProfileFile:
    """Find and read a profile with all that is wrong in it. Raises ConfigError when there is none."""
    path = _find(name_or_path, base)
    doc = read_yaml(path)
    if doc.value is None and doc.faults:
        return ProfileFile(doc, None, doc.faults)
    if not isinstance(doc.value, dict):
        wrong = Fault((), "a profile is a group of keys", "write driver: NAME and the options of that driver")
        return ProfileFile(doc, None, [wrong])
    value, spoiled = _with_original(doc.value, path, base)
    if spoiled is not None:
        return ProfileFile(doc, None, [*doc.faults, spoiled])
    own = {key: value for key, value in value.items() if key in PROFILE_KEYS}
    keys, found = check_keys(ProfileKeys, own, {"base": base})
    options = {key: value for key, value in value.items() if key not in PROFILE_KEYS}
    told = {key: value for key, value in keys or () if key != "like"}
    profile = Profile(path.stem, options=options, **told) if keys is not None else None
    return ProfileFile(doc, profile, doc.faults + found)


def _with_original(value: dict[Any, Any], path: Path, base: Path) -> tuple[dict[Any, Any], Fault | None]:
    """`like: NAME`: what a profile does not say itself is as in that one. The second: why that cannot be."""
    name = value.get("like")
    if not isinstance(name, str):
        return value, None
    try:
        original = _find(name, base)
        doc = read_yaml(original)
    except ConfigError as error:
        return value, Fault(("like",), *halves(error))
    if original.resolve() == path.resolve():
        return value, Fault(("like",), "a profile cannot be like itself", "write another name")
    if doc.faults or not isinstance(doc.value, dict):
        return value, Fault(("like",), f"profile {show(name)} is wrong", f"`labgate decode {name} 00` says where")
    if "like" in doc.value:
        return value, Fault(("like",), f"{show(name)} is like another itself", f"write like: {doc.value['like']}")
    return doc.value | value, None


def profile_names(base: Path) -> list[str]:
    """Names of all profiles that can be found without a path."""
    return sorted({f.stem for folder in _folders(base) for f in folder.glob("*.yaml") if not f.name.startswith(".")})


def built_in_profiles() -> dict[str, str]:
    """Name -> driver of each profile that comes with labgate. Raises ConfigError for a wrong one."""
    found = [load_profile(str(f), f.parent) for folder in _built_in() for f in sorted(folder.glob("*.yaml"))]
    return {profile.name: profile.driver for profile in found}


def _folders(base: Path) -> list[Path]:
    return [base / FOLDER, *_built_in()]


def _built_in() -> list[Path]:
    spec = importlib.util.find_spec(BUILT_IN)  # finds without importing
    return [Path(folder) / FOLDER for folder in (spec.submodule_search_locations or [])] if spec else []


def _find(name_or_path: str, base: Path) -> Path:
    if name_or_path.endswith(".yaml"):
        return base / name_or_path
    try:
        check_name(name_or_path)
    except ValueError:
        raise ConfigError(f"{show(name_or_path)} is neither the name of a profile nor a path ending in .yaml") from None
    for folder in _folders(base):
        if (path := folder / f"{name_or_path}.yaml").is_file():
            return path
    hint = or_known(name_or_path, profile_names(base))
    raise ConfigError(f"no profile {show(name_or_path)}" + (f"; {hint}" if hint else ""))
