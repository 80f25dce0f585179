"""Drivers without a configuration, for commands that try them: by name where nothing need be told, of a profile, or as
the header of a transcript says.
"""

from pathlib import Path

from pydantic import ValidationError

from gateway.driver import Driver, Options, driver_names, link_shape, load_driver, options_model
from gateway.errors import ConfigError
from gateway.problem import Place, Problem, or_known
from gateway.profile import built_in_profiles, profile_names, read_profile
from gateway.validation import faults

Found = tuple[type[Driver], Options]


def of_driver(name: str, base: Path) -> Found:
    """The driver of that name or path. Raises ConfigError where there is none, or where it must be told something."""
    name = _path(name)
    if not name.endswith(".py") and name not in (known := driver_names()):
        if name in profile_names(base):
            raise ConfigError(f"no driver {name!r}, but a profile has that name; write --profile {name}")
        raise ConfigError(f"no driver {name!r}; {or_known(name, known)}")
    driver = load_driver(name, base)
    try:
        return driver, options_model(driver).model_validate({}, context={})
    except ValidationError as error:
        missing = ", ".join(str(e["loc"][0]) for e in error.errors() if e["loc"])
        raise ConfigError(f"driver {name} must be told {missing}; name a profile that does, with --profile") from None


def of_profile(name: str, base: Path) -> Found:
    """The driver of a profile, by name or path, and what the profile tells it. Raises ConfigError."""
    file = read_profile(_path(name), base)
    found = file.faults
    if not found and file.profile is not None:
        driver = load_driver(file.profile.driver, base)
        model = options_model(driver)
        try:
            return driver, model.model_validate(file.profile.options, context={})
        except ValidationError as error:
            found = faults(error, file.profile.options, model)
    raise ConfigError(f"{file.document.place(found[0])}: {found[0].text}; {found[0].instead}")


def all_on(shape: type) -> dict[str, Found]:
    """What there is for a link of that shape and need be told nothing, by how a device names it: `profile: sds011`.

    Drivers first, then the profiles that come with labgate.
    """
    found: dict[str, Found] = {}
    for key, names, make in (("driver", driver_names(), of_driver), ("profile", built_in_profiles(), of_profile)):
        for name in names:
            try:
                driver, options = make(name, Path())
            except ConfigError:
                continue  # it must be told something
            if link_shape(driver) is shape:
                found[f"{key}: {name}"] = driver, options
    return found


def of_header(device: str, base: Path) -> Found:
    """What `# device:` of a transcript names, as under `devices:` of a configuration, without `link`. ConfigError."""
    from gateway.config_devices import DeviceReader, Links
    from gateway.yamltext import parse_yaml

    doc = parse_yaml(device.encode(), "")
    own = doc.value if isinstance(doc.value, dict) else {}
    elsewhere = Problem(Place("", 1, 1), "a recording is in its place")
    reader = DeviceReader(base, Links({}, {"recorded": elsewhere}))
    config, problems = reader.read("device", {**own, "link": "recorded"}, doc)
    if config is None or doc.faults:
        wrong = [(fault.text, fault.instead) for fault in doc.faults]
        wrong += [(problem.text, problem.instead) for problem in problems if problem.severity == "error"]
        raise ConfigError(f"its header `# device: {device[:60]}`: {'; '.join(filter(None, wrong[0]))}")
    return config.driver_class, config.options


def _path(name: str) -> str:
    """A file of the present folder comes before one beside the configuration."""
    return str(Path(name).absolute()) if name.endswith((".py", ".yaml")) and Path(name).is_file() else name
