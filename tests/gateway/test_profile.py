"""Profiles: where they are found, what they give a device, and errors at the profile's own place."""

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_profile, profile_names
from gateway.driver import load_driver
from gateway.problem import or_known
from tests.configuration import DRIVER, PROFILE, device, load, told, write

BUILT_IN = sorted(path.stem for path in Path("drivers/profiles").glob("*.yaml"))


def test_load_by_name_and_by_path(tmp_path):
    write(tmp_path, {"profiles/p1.yaml": PROFILE, "else/where.yaml": PROFILE})
    found = load_profile("p1", tmp_path)
    assert (found.name, found.driver, found.vendor, found.model) == ("p1", "./probe.py", "Lab", "P1")
    assert (found.version, found.source, found.factory) == ("2", "the manual, page 3", {"baudrate": 2400})
    assert (found.vectors, found.every, found.silent_after) == ([], None, None)
    assert found.options == {"points": [{"name": "a", "address": 1, "unit": "V"}]}
    assert load_profile("else/where.yaml", tmp_path).name == "where"
    assert load_profile(str(tmp_path / "else/where.yaml"), Path("/")).name == "where"


def test_beside_the_configuration_comes_first(tmp_path):
    assert load_profile("xy_md02", tmp_path).driver == "modbus"
    write(tmp_path, {"profiles/xy_md02.yaml": PROFILE})
    assert load_profile("xy_md02", tmp_path).driver == "./probe.py"


def test_names(tmp_path):
    assert set(BUILT_IN) <= set(profile_names(tmp_path))
    write(tmp_path, {"profiles/p1.yaml": PROFILE, "profiles/.hidden.yaml": "", "profiles/notes.txt": ""})
    assert [n for n in profile_names(tmp_path) if n not in BUILT_IN] == ["p1"]


def test_built_in_profiles_are_found_without_importing_drivers(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from gateway.config import load_profile;"
        f"load_profile('xy_md02', Path({str(tmp_path)!r}));"
        "print([m for m in sys.modules if m.split('.')[0] in ('drivers', 'pymodbus', 'aiomqtt', 'aiosqlite')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("version", ["2", "1.10", '"2.0-beta"'])
def test_a_version_may_look_like_a_number(tmp_path, version):
    write(tmp_path, {"p.yaml": f"driver: modbus\nversion: {version}\n"})
    assert load_profile("p.yaml", tmp_path).version == version.strip('"')


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sdm120", 'no profile "sdm120"; did you mean "eastron_sdm120"?'),
        ("zzz", f'no profile "zzz"; {or_known("zzz", BUILT_IN)}'),
        ("../etc/passwd", '"../etc/passwd" is neither the name of a profile nor a path ending in .yaml'),
        ("none.yaml", "none.yaml: no such file"),
        ("x" * 250 + "/" * 9 + ".yaml", "no such file"),
    ],
)
def test_no_profile(tmp_path, name, expected):
    with pytest.raises(ConfigError) as error:
        load_profile(name, tmp_path)
    assert str(error.value).replace(f"{tmp_path}/", "").endswith(expected)
    site = device(tmp_path, f"  d: {{link: bus, unit_id: 1, profile: '{name}'}}\n")
    if len(name) > 255:
        assert "is too long; write 255 or fewer characters" in told(site)[0]
    elif name not in ("sdm120", "zzz"):  # the site has a profile p1 of its own
        assert expected in told(site)[0]
    assert told(site)[0].startswith("gateway.yaml:5:39: ")
    assert list(site.disabled) == ["d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: a profile is a group of keys; write driver: NAME and the options of that driver"),
        ("vendor: X", '1:1: "driver" is missing; add driver: VALUE'),
        ("- a", "1:1: a profile is a group of keys; write driver: NAME and the options of that driver"),
        ("driver: [a]", "1:9: a list is not text; write it in quotes"),
        ("driver: x\nsilent_after: 20", "2:15: 20 is not a duration; write it like 20ms or 20s"),
        ("driver: x\ndriver: y", '2:1: duplicate key "driver", first in line 1; remove one of them'),
        ("a: [", "1:5: the file ends inside a bracket; close it"),
    ],
)
def test_a_wrong_profile(tmp_path, text, expected):
    write(tmp_path, {"p.yaml": text})
    with pytest.raises(ConfigError) as error:
        load_profile("p.yaml", tmp_path)
    assert str(error.value) == f"{tmp_path}/p.yaml:{expected}"


def test_a_devices_own_keys_override_the_profile(tmp_path):
    site = load(
        tmp_path,
        """\
gateway: {id: g1}
links: {bus: {modbus: /dev/x}}
devices:
  a: {profile: slow, link: bus, unit_id: 1}
  b: {profile: slow, link: bus, unit_id: 2, every: 2s, silent_after: 1min, wait: 1s, points: [{name: z, address: 9}]}
  c: {profile: slow, link: bus, unit_id: 3, driver: ./other.py}
""",
        **{
            "profiles/slow.yaml": PROFILE + "every: 10s\nsilent_after: 5min\nwait: 3s\n",
            "other.py": DRIVER,
        },
    )
    assert told(site) == []
    a, b, c = site.devices.values()
    assert (a.every, a.silent_after, a.options.wait, a.options.points[0].name) == (10.0, 300.0, 3.0, "a")
    assert (b.every, b.silent_after, b.options.wait, b.options.points[0].name) == (2.0, 60.0, 1.0, "z")
    assert (a.profile, a.version, a.driver, c.driver) == ("slow", "2", "./probe.py", "./other.py")


def test_a_profile_like_another(tmp_path):
    site = device(
        tmp_path,
        "  a: {profile: fast, link: bus, unit_id: 1}\n",
        **{
            "profiles/slow.yaml": PROFILE + "every: 10s\nwait: 3s\n",
            "profiles/fast.yaml": "like: slow\nmodel: Fast\nwait: 1s\n",
        },
    )
    assert told(site) == []
    a = site.devices["a"]
    assert (a.profile, a.driver, a.every, a.options.wait) == ("fast", "./probe.py", 10.0, 1.0)
    assert a.options.points[0].name == "a"
    fast = load_profile("fast", tmp_path)
    assert (fast.name, fast.model, fast.factory, fast.version) == ("fast", "Fast", {"baudrate": 2400}, "2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("like: pp1", '1:7: no profile "pp1"; did you mean "p1"?'),
        ("like: q", "1:7: a profile cannot be like itself; write another name"),
        ("like: third", '1:7: "third" is like another itself; write like: p1'),
        ("like: broken", '1:7: profile "broken" is wrong; `labgate decode broken 00` says where'),
        ("driver: ./probe.py\nlike: [p1]", "2:7: a list is not text; write it in quotes"),
        ("like: p1\nvendr: x", '2:1: unknown key "vendr"; did you mean "vendor"?'),
    ],
)
def test_a_profile_like_none(tmp_path, text, expected):
    files = {"profiles/q.yaml": text, "profiles/third.yaml": "like: p1", "profiles/broken.yaml": "a: ["}
    site = device(tmp_path, "  a: {profile: q, link: bus, unit_id: 1}\n", **files)
    assert told(site)[0] == f"profiles/q.yaml:{expected}"


def test_errors_of_a_profile_stand_at_the_profile_and_are_told_once(tmp_path):
    site = device(
        tmp_path,
        "  a: {profile: bad, link: bus, unit_id: 1}\n  b: {profile: bad, link: bus, unit_id: 2, evry: 1s}\n"
        "  ok: {profile: p1, link: bus, unit_id: 3}\n",
        **{
            "profiles/bad.yaml": """\
driver: ./probe.py
points:
  - {name: a, address: 1, unit: volts}
  - {name: b, address: x}
wait: 3
vendr: X
evry: 1s
"""
        },
    )
    assert told(site) == [
        'gateway.yaml:6:44: unknown key "evry"; did you mean "every"?',
        'profiles/bad.yaml:3:33: "volts" is not a unit; write V',
        'profiles/bad.yaml:4:24: "x" is not a whole number; write digits, like 16 or 0x10',
        "profiles/bad.yaml:5:7: 3 is not a duration; write it like 3ms or 3s",
        'profiles/bad.yaml:6:1: unknown key "vendr"; did you mean "vendor"?',
        'profiles/bad.yaml:7:1: unknown key "evry"; did you mean "every"?',
    ]
    assert list(site.devices) == ["ok"]
    assert list(site.disabled) == ["a", "b"]
    assert site.fatal == []


def test_a_profile_with_an_unknown_driver(tmp_path):
    site = device(
        tmp_path,
        "  a: {profile: bad, link: bus, unit_id: 1}\n",
        **{"profiles/bad.yaml": "vendor: X\ndriver: modbuss\n"},
    )
    assert told(site) == ['profiles/bad.yaml:2:9: no driver "modbuss"; did you mean "modbus"?']


def test_what_a_missing_profile_may_hold_is_not_called_missing(tmp_path):
    site = device(tmp_path, "  a: {profile: pp1, driver: ./probe.py, link: bus, wayt: 1s}\n")
    assert told(site) == [
        'gateway.yaml:5:16: no profile "pp1"; did you mean "p1"?',
        'gateway.yaml:5:52: unknown key "wayt"; did you mean "wait"?',
    ]


@pytest.mark.parametrize("path", sorted(Path("drivers/profiles").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_profile_that_comes_with_labgate_is_right(tmp_path, path):
    profile = load_profile(path.stem, tmp_path)
    link = load_driver(profile.driver, tmp_path).__annotations__["link"]
    links = {
        "ModbusLink": "{modbus: /dev/ttyUSB0}",
        "SerialLink": "{serial: /dev/ttyUSB0}",
        "RadioLink": '{ble: "DC:A6:32:01:02:03"}',
    }
    which = {"ModbusLink": ", unit_id: 1", "RadioLink": ', address: "CB:B8:33:4C:88:4F"'}
    keys = f"profile: {path.stem}, link: l" + which.get(link.__name__, "")
    site = load(tmp_path, f"gateway: {{id: pi-7}}\nlinks: {{l: {links[link.__name__]}}}\ndevices:\n  d: {{{keys}}}\n")
    assert told(site) == []
    assert profile.source
    assert profile.vectors
    assert site.devices["d"].profile == path.stem
