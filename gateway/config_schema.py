"""JSON schema of the whole configuration, the options of all built-in and installed drivers included."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.amounts import DURATION_SCHEMA, SIZE_SCHEMA
from gateway.config_ble import BleLinkConfig
from gateway.config_models import BufferConfig, DeviceKeys, GatewayConfig, HubConfig, ModbusLinkConfig
from gateway.config_serial import SerialLinkConfig
from gateway.driver import driver_names, load_driver, options_model
from gateway.errors import ConfigError
from gateway.names import FACTORY, NAME_PATTERN
from gateway.profile import built_in_profiles

_Schema = dict[str, Any]


def schema() -> _Schema:
    """The schema of gateway.yaml (draft 2020-12), for editors. The same drivers always give the same text.

    It knows less than `labgate check`: where driver or profile are the user's own, any option passes.
    """
    defs: _Schema = {}
    gateway = _model(GatewayConfig, defs)
    gateway["properties"]["id"] |= {"pattern": NAME_PATTERN, "not": {"enum": sorted(FACTORY)}}
    gateway.pop("required")  # by default it is the host name
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "labgate configuration",
        "type": "object",
        "properties": {
            "gateway": gateway,
            "hub": _model(HubConfig, defs),
            "buffer": _model(BufferConfig, defs),
            "links": _named(
                {
                    "if": {"required": ["serial"]},
                    "then": _model(SerialLinkConfig, defs),
                    "else": {
                        "if": {"required": ["ble"]},
                        "then": _model(BleLinkConfig, defs),
                        "else": _model(ModbusLinkConfig, defs),
                    },
                }
            ),
            "devices": _named(_device(defs)),
            "web": {"description": "The web page comes with a later release."},
        },
        "additionalProperties": False,
        "$defs": dict(sorted(defs.items())),
    }


def _device(defs: _Schema) -> _Schema:
    """Any device; which options it may have depends on its driver, or on the driver of its profile."""
    common = _model(DeviceKeys, defs)["properties"]
    profiles = built_in_profiles()
    rules: list[_Schema] = []
    for name in driver_names():
        try:
            options = _model(options_model(load_driver(name, Path())), defs, f"{name}.")
        except ConfigError:  # an installed driver that is broken: told by `check` to who uses it
            continue
        defs[f"{name}.device"] = {
            "properties": dict.fromkeys(common, True) | options["properties"],
            "additionalProperties": False,
            "anyOf": [{"required": ["profile"]}, {"required": options.get("required", [])}],
        }
        of_driver = {"properties": {"driver": {"const": name}}, "required": ["driver"]}
        own = sorted(profile for profile, driver in profiles.items() if driver == name)
        of_profile = {"properties": {"driver": False, "profile": {"enum": own}}, "required": ["profile"]}
        rules.append({"if": {"anyOf": [of_driver, of_profile]}, "then": {"$ref": f"#/$defs/{name}.device"}})
    common["driver"]["examples"] = [rule["then"]["$ref"].split("/")[-1].removesuffix(".device") for rule in rules]
    common["profile"]["examples"] = sorted(profiles)
    either = [{"required": ["driver"]}, {"required": ["profile"]}]
    return {"type": "object", "properties": common, "anyOf": either, "allOf": rules}


def _named(entry: _Schema) -> _Schema:
    """A group NAME: entry."""
    return {"type": ["object", "null"], "propertyNames": {"pattern": NAME_PATTERN}, "additionalProperties": entry}


def _model(model: type[BaseModel], defs: _Schema, prefix: str = "") -> _Schema:
    """The schema of a model. Models inside it go to `defs`, their names behind `prefix`."""
    found = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    for name, inner in found.pop("$defs", {}).items():
        defs[prefix + name] = _tidy(inner)
    tidy: _Schema = _tidy(found)
    return tidy


def _tidy(found: Any) -> Any:
    """Without titles, which only repeat the keys, and with defaults as one writes them: 1s, not 1.0."""
    if isinstance(found, list):
        return [_tidy(item) for item in found]
    if not isinstance(found, dict):
        return found
    default = found.get("default")
    tidy = {
        key: {name: _tidy(inner) for name, inner in value.items()} if key == "properties" else _tidy(value)
        for key, value in found.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        patterns = {found.get("pattern"), *(option.get("pattern") for option in found.get("anyOf", ()))}
        if DURATION_SCHEMA["pattern"] in patterns:
            tidy["default"] = f"{default:g}s"
        elif SIZE_SCHEMA["pattern"] in patterns:
            tidy["default"] = f"{default // 10**6}MB"
    return tidy
