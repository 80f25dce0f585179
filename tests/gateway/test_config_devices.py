"""Devices: common keys, drivers, options, links; each kind of error at its place. » marks where it must be shown."""

import pytest

from gateway.driver import driver_names
from gateway.problem import or_known
from tests.configuration import DRIVER, HEAD, device, load, marked, told

DURATION = "write it like 250ms, 1s, 5min or 24h"
GOOD = "driver: ./probe.py, link: bus, unit_id: 1"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # the entry
        ("»d:", "d is empty; write driver: NAME and its options"),
        ("d: »[x]", "d is a group of keys, not a list; write driver: NAME and its options"),
        ("»d: {link: bus}", "neither driver nor profile; add driver: NAME or profile: NAME"),
        ("»7: {GOOD}", 'the name 7 is a number; write "7", in quotes'),
        ("»guest-9: {GOOD}", '"guest-9" begins with guest-, which is for guests; choose another name'),
        ("a: {GOOD}\n  »a: {}", 'duplicate key "a", first in line 5; remove one of them'),
        ("»d: {driver: , link: bus}", "neither driver nor profile; add driver: NAME or profile: NAME"),
        # common keys
        ("d: {GOOD, every: »2 sec}", f'"2 sec" is not a duration; {DURATION}'),
        ("d: {GOOD, every: »0s}", f"a duration of 0 makes no sense here; {DURATION}"),
        ("d: {GOOD, silent_after: »20}", "20 is not a duration; write it like 20ms or 20s"),
        ("d: {GOOD, class: »alrm}", '"alrm" is not alarm, normal or bulk; did you mean "alarm"?'),
        ("d: {GOOD, labels: »x}", '"x" is not a group of keys; write {KEY: VALUE}, or indented lines KEY: VALUE'),
        ("d: {GOOD, labels: {a: »1.50}}", '1.50 is not text; write "1.50", in quotes'),
        ("d: {GOOD, max_quantities: »0}", "0 is too small; write 1 or more"),
        ("d: {GOOD, isolate: »maybe}", '"maybe" is not true or false; write true or false'),
        ("d: {GOOD, »report: 1}", "report on change comes with a later release; remove it"),
        # unknown keys: common keys and options are both considered
        ("d: {GOOD, »evry: 1s}", 'unknown key "evry"; did you mean "every"?'),
        ("d: {GOOD, »wayt: 1s}", 'unknown key "wayt"; did you mean "wait"?'),
        ("d: {GOOD, »unit-id: 1}", 'unknown key "unit-id"; did you mean "unit_id"?'),
        (
            "d: {GOOD, »zzz: 1}",
            'unknown key "zzz"; known here: class, driver, every, fast, high, isolate, labels, link, low,'
            " max_quantities, points, profile, silent_after, unit_id, wait",
        ),
        # driver
        ("d: {driver: »probe, link: bus}", f'no driver "probe"; {or_known("probe", driver_names())}'),
        ("d: {driver: »modbuss, link: bus}", 'no driver "modbuss"; did you mean "modbus"?'),
        ("d: {driver: »mt sics, link: bus}", f'no driver "mt sics"; {or_known("mt sics", driver_names())}'),
        ("d: {driver: »''}", '"" is too short; write 1 or more characters'),
        # link
        ("»d: {PROBE, unit_id: 1}", "driver ./probe.py needs a modbus link; add link: NAME"),
        ("d: {PROBE, link: »buss, unit_id: 1}", 'no link "buss"; did you mean "bus"?'),
        ("d: {PROBE, link: »x1, unit_id: 1}", 'no link "x1"; known here: bus'),
        ("d: {PROBE, link: »1, unit_id: 1}", '1 is not text; write "1", in quotes'),
        # options
        ("»d: {driver: ./probe.py, link: bus}", '"unit_id" is missing; add unit_id: VALUE'),
        ("d: {PROBE, link: bus, unit_id: »300}", "300 is too large; write 247 or less"),
        ("d: {PROBE, link: bus, unit_id: »0x100}", "256 is too large; write 247 or less"),
        ("d: {PROBE, link: bus, unit_id: »one}", '"one" is not a whole number; write digits, like 16 or 0x10'),
        ("d: {PROBE, link: bus, unit_id: »true}", "true is not a number; write digits, like 16 or 0x10"),
        ("d: {PROBE, link: bus, unit_id: »}", "nothing is not a whole number; write digits, like 16 or 0x10"),
        ("d: {GOOD, wait: »5}", "5 is not a duration; write it like 5ms or 5s"),
        ("d: {GOOD, points: »[]}", "a list is too short; write 1 or more items"),
        ("d: {GOOD, points: »a}", '"a" is not a list; write ["a"]'),
        ("d: {GOOD, points: »{a: 1}}", "a group of keys is not a list; write [A, B], or lines that begin with -"),
        ("d: {GOOD, points: [»{address: 1}]}", '"name" is missing; add name: VALUE'),
        ("d: {GOOD, points: [»17]}", "17 is not a group of keys; write {KEY: VALUE}, or indented lines KEY: VALUE"),
        ("d: {GOOD, points: [{POINT, »scal: 2}]}", 'unknown key "scal"; did you mean "scale"?'),
        ("d: {GOOD, points: [{name: a, address: »-1}]}", "-1 is too small; write 0 or more"),
        ("d: {GOOD, points: [{name: a, address: »true}]}", "true is not a number; write digits, like 16 or 0x10"),
        ("d: {GOOD, points: [{POINT, table: »inputs}]}", '"inputs" is not holding or input; did you mean "input"?'),
        ("d: {GOOD, points: [{POINT, scale: »x}]}", '"x" is not a number; write digits, like 0.1'),
        ("d: {GOOD, points: [{POINT, values: {»x: b}}]}", '"x" is not a whole number; write digits, like 16 or 0x10'),
        ("d: {GOOD, points: [{POINT, values: {1: »2}}]}", '2 is not text; write "2", in quotes'),
        (
            "d: {GOOD, points: [{POINT, missing: [1, »b]}]}",
            '"b" is not a whole number; write digits, like 16 or 0x10',
        ),
        # the driver's own validators and warnings
        (
            "d: {GOOD, points: »[{name: a, address: 1}, {name: a, address: 2}]}",
            "two points have the same name; rename one of them",
        ),
        ("»d: {GOOD, low: 5, high: 1}", "low is above high; exchange them"),
        ("d: {GOOD, points: [{name: a, address: »40017}]}", "warning: address 40017 looks old; write 16"),
        # units
        ("d: {GOOD, points: [{POINT, unit: »°C}]}", '"°C" is not a unit; write Cel'),
        ("d: {GOOD, points: [{POINT, unit: »kwh}]}", '"kwh" is not a unit; write kWh'),
        ("d: {GOOD, points: [{POINT, unit: »m³/h}]}", '"m³/h" is not a unit; write m3/h'),
        (
            "d: {GOOD, points: [{POINT, unit: »florp}]}",
            '"florp" is not a unit; write one of SenML (Cel, V, kWh, %RH, …) or UCUM (m3/h, mm[Hg], …)',
        ),
        ("d: {GOOD, points: [{POINT, unit: »C}]}", "warning: C is coulomb; write Cel for degrees Celsius"),
        # what YAML refused is told once
        (
            "d: {PROBE, link: bus, unit_id: »*one}",
            "aliases (*one) are not allowed; write the value out, or put text in quotes",
        ),
        ("d: {GOOD, every: »1e999}", "1e999 is too large or too small a number; put it in quotes if it is text"),
    ],
)  # fmt: skip
def test_one_error(tmp_path, body, expected):
    whole = body.replace("GOOD", GOOD).replace("PROBE", "driver: ./probe.py").replace("POINT", "name: a, address: 1")
    text, place = marked(f"{HEAD}  {whole}\n")
    site = load(tmp_path, text)
    lines = [line for line in told(site) if "no device uses" not in line]
    assert lines == [f"gateway.yaml:{place}: {expected}"]
    name = body.lstrip("»").split(":")[0]
    warning = expected.startswith("warning")
    assert (list(site.devices), list(site.disabled)) == (([name], []) if warning else ([], [name]))
    assert [p.part for p in site.problems if "no device uses" not in p.text] == [f"devices.{name}"]


@pytest.mark.parametrize("unit", ["V", "Cel", "%RH", "kWh", "[g]", "mm[Hg]", "m3/h", "uS/cm", "/", "count"])
def test_units_of_senml_and_ucum_pass(tmp_path, unit):
    site = device(tmp_path, f"  d: {{{GOOD}, points: [{{name: a, address: 1, unit: '{unit}'}}]}}\n")
    assert told(site) == []


def test_all_errors_of_a_device_at_once(tmp_path):
    site = device(
        tmp_path,
        """\
  d:
    driver: ./probe.py
    link: nope
    unit_id: 300
    evry: 1s
    every: 2 sec
    points:
      - {name: a, address: 0x10000, tabel: input, unit: °C}
      - {address: b}
  ok: {driver: ./probe.py, link: bus, unit_id: 1}
""",
    )
    assert told(site) == [
        'gateway.yaml:7:11: no link "nope"; known here: bus',
        "gateway.yaml:8:14: 300 is too large; write 247 or less",
        'gateway.yaml:9:5: unknown key "evry"; did you mean "every"?',
        f'gateway.yaml:10:12: "2 sec" is not a duration; {DURATION}',
        "gateway.yaml:12:28: 65536 is too large; write 65535 or less",
        'gateway.yaml:12:37: unknown key "tabel"; did you mean "table"?',
        'gateway.yaml:12:57: "°C" is not a unit; write Cel',
        'gateway.yaml:13:9: "name" is missing; add name: VALUE',
        'gateway.yaml:13:19: "b" is not a whole number; write digits, like 16 or 0x10',
    ]
    assert list(site.devices) == ["ok"]
    assert str(site.disabled["d"]).endswith('7:11: no link "nope"; known here: bus')
    assert site.fatal == []


def test_two_devices_at_one_unit(tmp_path):
    site = device(tmp_path, f"  a: {{{GOOD}}}\n  b: {{{GOOD[:-1]}2}}\n  c: {{{GOOD}}}\n")
    assert told(site) == [
        'gateway.yaml:7:47: warning: it asks the same unit on "bus" as "a"; give each its own unit_id'
    ]
    assert list(site.devices) == ["a", "b", "c"]


DRIVERS = {
    "syntax.py": "def",
    "raises.py": "1 / 0",
    "two.py": DRIVER + "\n\n@dataclass(frozen=True)\nclass Other(Probe):\n    pass\n",
    "none.py": "x = 1",
    "plain.py": DRIVER.replace("options: ProbeOptions", "options: dict"),
    "unnamed.py": DRIVER.replace("options: ProbeOptions", "options: 'Nowhere'"),
    "free.py": DRIVER.replace("link: ModbusLink", "link: None"),
    "radio.py": DRIVER.replace("link: ModbusLink", "link: BleLink").replace(
        "@dataclass(frozen=True)\nclass Probe", "class BleLink:\n    pass\n\n\n@dataclass(frozen=True)\nclass Probe"
    ),
    "buggy.py": DRIVER.replace("if self.low > self.high:", "if self.low > 1 / 0:"),
    "moaner.py": DRIVER.replace("def warnings(self):", "def warnings(self):\n        return 1 / 0\n"),
}


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("syntax.py", "driver 'syntax.py' cannot be loaded: SyntaxError"),
        ("raises.py", "driver 'raises.py' cannot be loaded: ZeroDivisionError"),
        ("two.py", "driver 'two.py': its module must hold exactly one driver class, found Probe, Other"),
        ("none.py", "driver 'none.py': its module must hold exactly one driver class, found none"),
        ("plain.py", "`options` must be annotated with a subclass of Options"),
        ("unnamed.py", 'driver "unnamed.py" cannot be used: NameError'),
        ("missing.py", "missing.py"),
        ("/" + "x" * 250 + ".py", "xxx"),
    ],
)
def test_a_driver_that_is_none(tmp_path, driver, expected):
    text, place = marked(f"{HEAD}  d: {{driver: »{driver}, link: bus, unit_id: 1}}\n")
    lines = [line for line in told(load(tmp_path, text, **DRIVERS)) if "no device uses" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"gateway.yaml:{place}: ")
    assert expected in lines[0]
    assert "\n" not in lines[0]


def test_a_bug_in_a_drivers_checks_is_told_in_one_line(tmp_path):
    for driver in ("buggy.py", "moaner.py"):
        site = device(tmp_path, f"  d: {{driver: {driver}, link: bus, unit_id: 1}}\n", **DRIVERS)
        told_of = f"driver {driver} failed to check its options: ZeroDivisionError: division by zero; tell its author"
        assert told(site) == [f"gateway.yaml:5:3: {told_of}"]
        assert list(site.disabled) == ["d"]


def test_a_link_of_the_wrong_shape(tmp_path):
    site = device(tmp_path, "  d: {driver: radio.py, link: bus, unit_id: 1}\n", **DRIVERS)
    assert told(site) == ['gateway.yaml:5:31: "bus" is a modbus link; driver radio.py needs a ble link']


def test_a_link_nobody_needs(tmp_path):
    site = device(tmp_path, "  d: {driver: free.py, link: bus, unit_id: 1}\n", **DRIVERS)
    assert told(site) == ["gateway.yaml:5:24: warning: driver free.py needs no link; remove it"]
    assert list(site.devices) == ["d"]


def test_the_contracts_own_example_with_the_real_driver(tmp_path):
    site = device(
        tmp_path,
        """\
  pump-1:
    driver: modbus
    link: bus
    unit_id: 3
    every: 500ms
    max_registers: 80
    max_gap: 0
    registers:
      - {name: voltage, table: input, address: 0x0000, type: float32, unit: V}
      - {name: flow, table: holding, address: 16, type: int16, scale: 0.1, offset: -40, unit: m3/h, missing: [0x8000]}
      - {name: energy, table: holding, address: 20, type: uint32, order: CDAB, scale: 0.01, unit: kWh, kind: counter}
      - {name: mode, table: holding, address: 30, type: uint16, values: {0: off, 1: heating, 2: cooling}}
      - {name: alarm, table: holding, address: 31, bit: 3}
      - {name: valve, table: coil, address: 7}
      - {name: serial, table: holding, address: 40, type: text, length: 8}
      - {name: old, table: holding, address: 40017}
""",
    )
    assert [line.split(";")[1] for line in told(site)] == [" write 16, addresses count from 0"]
    assert told(site)[0].startswith("gateway.yaml:20:46: warning: ")
    options = site.devices["pump-1"].options
    assert options.registers[3].values == {0: "off", 1: "heating", 2: "cooling"}
    assert str(options.registers[1].scale) == "0.1"


def test_wrong_registers_of_the_real_driver(tmp_path):
    site = device(
        tmp_path,
        """\
  d:
    driver: modbus
    link: bus
    registers:
      - {name: a, tabel: input, address: 1}
      - {name: b, table: input, address: 70000, type: float16}
      - {name: c, table: input, address: 1, unit: Celsius}
""",
    )
    assert [line.split(" ")[0] for line in told(site)] == [
        f"gateway.yaml:{place}:" for place in ("9:9", "9:19", "10:42", "10:55", "11:51")
    ]
    assert not [line for line in told(site) if "Input should" in line or "type=" in line]
