"""gateway, hub, buffer, links and the file as a whole: each kind of error at its place, in our words."""

import pytest

from gateway.config import ConfigError, Place, Problem, load_site
from tests.configuration import load, marked, told, write

GOOD_HUB = "gateway: {id: g1}\nhub: {url: 'mqtt://h', %s}\n"


def test_a_site(tmp_path):
    site = load(
        tmp_path,
        """\
gateway: {id: pi-7, labels: {room: A2}}
hub:
  url: mqtts://hub.example.org
  client_id: c
  prefix: site/lab
  state: 500ms
  unheard: hold
buffer: {path: b/buffer.db, commit_every: 250ms, max_bytes: 1.5GB, keep_free: 0B}
links:
  plc: {modbus: "tcp://[2001:db8::1]"}
  box: {modbus: "rtu+tcp://box.local:4001", timeout: 1.5s}
  bus: {modbus: /dev/ttyUSB0, baudrate: 19200, bytesize: 7, parity: E, stopbits: 2, pause: 0ms}
devices:
  a: {profile: p1, link: plc, unit_id: 1}
  b: {driver: ./probe.py, link: box, unit_id: 1, every: 250ms, silent_after: 5min, class: bulk, labels: {x: y},
      max_quantities: 3, isolate: true, wait: 2s, fast: no, points: [{name: q, address: 0x10, scale: 0.1, ratio: 1e-3}]}
  c: {driver: ./probe.py, link: bus, unit_id: 2}
""",
    )
    assert told(site) == []
    assert site.fatal == []
    assert site.disabled == {}
    assert (site.gateway.id, site.gateway.labels) == ("pi-7", {"room": "A2"})
    hub = site.hub
    assert hub is not None
    assert (hub.host, hub.port, hub.tls, hub.prefix, hub.state, hub.unheard) == (
        "hub.example.org", 8883, True, "site/lab", 0.5, "hold",
    )  # fmt: skip
    b = site.buffer
    assert (b.path, b.commit_every, b.max_bytes, b.keep_free) == (tmp_path / "b/buffer.db", 0.25, 1_500_000_000, 0)
    plc, box, bus = site.links["plc"], site.links["box"], site.links["bus"]
    assert (plc.kind, plc.host, plc.port, plc.timeout, plc.pause) == ("tcp", "2001:db8::1", 502, 1.0, None)
    assert (box.kind, box.host, box.port, box.timeout) == ("rtu+tcp", "box.local", 4001, 1.5)
    assert (bus.kind, bus.host, bus.port, bus.modbus) == ("rtu", None, None, "/dev/ttyUSB0")
    assert (bus.baudrate, bus.bytesize, bus.parity, bus.stopbits, bus.pause) == (19200, 7, "E", 2, 0.0)
    c = site.devices["b"]
    assert (c.every, c.silent_after, c.klass, c.labels, c.max_quantities, c.isolate) == (
        0.25, 300.0, "bulk", {"x": "y"}, 3, True,
    )  # fmt: skip
    assert str(c.options.points[0].scale) == "0.1"
    assert (c.options.points[0].ratio, c.options.points[0].address, c.options.wait, c.options.fast) == (
        0.001, 16, 2.0, False,
    )  # fmt: skip
    assert (c.driver, c.driver_class.__name__, c.profile, c.version) == ("./probe.py", "Probe", None, None)
    a = site.devices["a"]
    assert (a.driver, a.profile, a.version, a.every, a.silent_after, a.klass) == (
        "./probe.py", "p1", "2", 1.0, None, "normal",
    )  # fmt: skip
    assert (a.max_quantities, a.isolate, a.labels) == (64, False, {})


def test_defaults_and_nothing_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "bench-3.lab")
    for text in ("", "# nothing yet\n", "gateway:\nbuffer:\nlinks:\ndevices:\n"):
        site = load(tmp_path, text)
        assert told(site) == []
        assert site.fatal == []
        assert site.gateway.id == "bench-3.lab"
        assert site.hub is None
        assert (str(site.buffer.path), site.buffer.commit_every) == ("/var/lib/labgate/buffer.db", 1.0)
        assert (site.buffer.max_bytes, site.buffer.keep_free) == (10**9, 2 * 10**8)
        assert site.devices == {}


def test_hub_defaults(tmp_path):
    hub = load(tmp_path, "gateway: {id: g1}\nhub: {url: mqtt://h/}\n").hub
    assert hub is not None
    assert (hub.host, hub.port, hub.tls, hub.prefix, hub.state, hub.unheard) == ("h", 1883, False, "lab", 1.0, "accept")
    assert hub.client_id is None


@pytest.mark.parametrize("off", ["off", "'off'", "false"])
def test_state_off(tmp_path, off):
    site = load(tmp_path, GOOD_HUB % f"state: {off}")
    assert told(site) == []
    assert site.hub is not None
    assert site.hub.state is None


@pytest.mark.parametrize("host", ["raspberrypi", "debian", "localhost", "ubuntu", "RASPBERRYPI.local"])
def test_a_factory_name_is_refused(tmp_path, monkeypatch, host):
    wrong = f'"{host}" is what many machines are called, two of them would mix at the hub'
    site = load(tmp_path, f"hub: {{url: mqtt://h}}\ngateway: {{labels: {{a: b}}, id: {host}}}\n")
    assert told(site) == [f"gateway.yaml:2:31: {wrong}; write gateway: {{id: NAME}} with a name of its own"]
    assert site.fatal == site.problems
    assert site.problems[0].part == "gateway"
    monkeypatch.setattr("socket.gethostname", lambda: host)
    instead = "write gateway: {id: NAME}"
    prefix = f"no gateway id, and the host name will not do: {wrong}; {instead}"
    assert told(load(tmp_path, "hub: {url: mqtt://h}\n")) == [f"gateway.yaml:1:1: {prefix}"]
    assert told(load(tmp_path, "\n gateway: {labels: {}}\n")) == [f"gateway.yaml:2:2: {prefix}"]


BROKER = "write mqtts://HOST:8883 or mqtt://HOST:1883"
BUS = "write tcp://HOST:502, rtu+tcp://HOST:PORT or /dev/serial/by-id/…"
SERIAL = 'write /dev/serial/by-id/…, tcp://HOST:PORT, or {usb: {path: "1-1.3"}}'
ADAPTER = 'write its address like "DC:A6:32:01:02:03"'
DURATION = "write it like 250ms, 1s, 5min or 24h"
NAME = 'cannot be a name (only A-Z, a-z, 0-9, "-", "_" and ".", beginning with a letter or digit)'


# » marks the character at which the error must be shown.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the file as a whole
        ("»gatway: {id: g1}", 'unknown key "gatway"; did you mean "gateway"?'),
        ("links: {}\n»hubs: {}", 'unknown key "hubs"; did you mean "hub"?'),
        ("»zzz: 1", 'unknown key "zzz"; known here: gateway, hub, buffer, links, devices, web'),
        ("»17: 1", "unknown key 17; known here: gateway, hub, buffer, links, devices, web"),
        ("»- a", "a list is not a configuration; write gateway: and the like"),
        ("»hello", '"hello" is not a configuration; write gateway: and the like'),
        ("links: »[a]", "links is a group of keys, not a list; write links: {NAME: …}"),
        ("devices: »1", "devices is a group of keys, not 1; write devices: {NAME: …}"),
        ("»report: {}", "report on change comes with a later release; remove it"),
        ("»web: {}", "warning: the web page comes with a later release, there is none now; remove it until then"),
        ("hub: {url: 'mqtt://h'}\n»hub: {}", 'duplicate key "hub", first in line 1; remove one of them'),
        ("a: [»", "the file ends inside a bracket; close it"),
        # gateway
        ("gateway: »g1", 'gateway is a group of keys, not "g1"; write gateway: {KEY: VALUE}'),
        ("gateway: {id: »7}", '7 is not text; write "7", in quotes'),
        ("gateway: {id: »true}", 'true is not text; write "true", in quotes'),
        ("gateway: {id: »[a]}", "a list is not text; write it in quotes"),
        ("gateway: {id: »guest-1}", '"guest-1" begins with guest-, which is for guests; choose another name'),
        ("gateway: {id: »pi 7}", f'"pi 7" {NAME}; write it like pi_7'),
        ("gateway: {id: »''}", f'"" {NAME}; write it like meter-1'),
        ("gateway: {id: »" + "x" * 65 + "}", "a name of 65 characters is too long; write at most 64"),
        ("gateway: {id: g1, »lables: {}}", 'unknown key "lables"; did you mean "labels"?'),
        ("gateway: {id: g1, labels: {a: »2}}", '2 is not text; write "2", in quotes'),
        ("gateway: {id: g1, labels: {»1: x}}", '1 is not text; write "1", in quotes'),
        # hub
        ("»hub:", "hub is empty; write hub: {KEY: VALUE}"),
        ("»hub: {prefix: lab}", '"url" is missing; add url: VALUE'),
        ("hub: {url: »hub.example.org}", f'"hub.example.org" is not the address of a broker; {BROKER}'),
        ("hub: {url: »'http://h'}", f"http:// is not spoken here; {BROKER}"),
        (
            "hub: {url: »'mqtt://u:p@h'}",
            "user name and password do not belong in the url; write username: NAME and password_file: FILE",
        ),
        ("hub: {url: »'mqtt://h:99999'}", f'"mqtt://h:99999" has a host or port that cannot be; {BROKER}'),
        ("hub: {url: »'mqtt://h:x'}", f'"mqtt://h:x" has a host or port that cannot be; {BROKER}'),
        ("hub: {url: »'mqtt://[::1'}", f'"mqtt://[::1" has a host or port that cannot be; {BROKER}'),
        ("hub: {url: »'mqtt://'}", f'"mqtt://" lacks a host or a port; {BROKER}'),
        ("hub: {url: »'mqtt://h/topic'}", f'"mqtt://h/topic" says more than host and port; {BROKER}'),
        ("hub: {url: »'mqtt://a b'}", f'"mqtt://a b" holds a character that no address has; {BROKER}'),
        ("hub: {url: 'mqtt://h', state: »1}", "1 is not a duration; write it like 1ms or 1s"),
        ("hub: {url: 'mqtt://h', state: »0s}", f"a duration of 0 makes no sense here; {DURATION}"),
        ("hub: {url: 'mqtt://h', unheard: »acept}", '"acept" is not accept or hold; did you mean "accept"?'),
        ("hub: {url: 'mqtt://h', »prefx: lab}", 'unknown key "prefx"; did you mean "prefix"?'),
        ("hub: {url: 'mqtt://h', prefix: »'lab/#'}", '"lab/#" cannot begin a topic; write it like lab or site/lab'),
        ("hub: {url: 'mqtt://h', prefix: »/lab}", '"/lab" cannot begin a topic; write it like lab or site/lab'),
        ("hub: {url: 'mqtt://h', client_id: »''}", '"" is too short; write 1 or more characters'),
        ("hub: {url: 'mqtt://h', username: »12}", '12 is not text; write "12", in quotes'),
        # buffer
        ("buffer: {commit_every: »2 sec}", f'"2 sec" is not a duration; {DURATION}'),
        ("buffer: {commit_every: »99999h}", f"99999h is longer than ten years; {DURATION}"),
        ("buffer: {max_bytes: »1GiB}", '"1GiB" is not a size; write it like 200MB or 1GB'),
        ("buffer: {max_bytes: »500}", "500 is not a size; write it like 500kB or 500MB"),
        ("buffer: {max_bytes: »1kB}", "the buffer would hold nothing; write 1MB or more, 1GB is usual"),
        ("buffer: {keep_free: »-1MB}", '"-1MB" is not a size; write it like 200MB or 1GB'),
        ("buffer: {path: »..}", '".." is not a file; write it like /var/lib/labgate/buffer.db'),
        ("buffer: {path: »1}", '1 is not the name of a file; write "1", in quotes'),
        # links
        ("links: {»a: }", "a is empty; write a: {KEY: VALUE}"),
        ("links: {»a: {}}", "no wire is named; add modbus: WHERE or serial: PORT or ble: ADAPTER"),
        ("links: {»1: {modbus: /dev/x}}", 'the name 1 is a number; write "1", in quotes'),
        (
            "links: {»guest-1: {modbus: /dev/x}}",
            '"guest-1" begins with guest-, which is for guests; choose another name',
        ),
        ("links: {a: {modbus: »'192.0.2.1:502'}}", f'"192.0.2.1:502" is not a Modbus bus; {BUS}'),
        ("links: {a: {modbus: »'udp://h'}}", f"udp:// is not spoken here; {BUS}"),
        ("links: {a: {modbus: »'tcp://h:0'}}", f'"tcp://h:0" lacks a host or a port; {BUS}'),
        ("links: {a: {modbus: »'tcp://h:502/1'}}", f'"tcp://h:502/1" says more than host and port; {BUS}'),
        ("links: {a: {modbus: /dev/x, »baudrat: 1}}", 'unknown key "baudrat"; did you mean "baudrate"?'),
        (
            "links: {a: {modbus: /dev/x, baudrate: »fast}}",
            '"fast" is not a whole number; write digits, like 16 or 0x10',
        ),
        (
            "links: {a: {modbus: /dev/x, baudrate: »9600.5}}",
            "9600.5 is not a whole number; write digits, like 16 or 0x10",
        ),
        ("links: {a: {modbus: /dev/x, baudrate: »1}}", "1 is too small; write 50 or more"),
        ("links: {a: {modbus: /dev/x, stopbits: »true}}", "true is not a number; write digits, like 16 or 0x10"),
        ("links: {a: {modbus: /dev/x, parity: »none}}", '"none" is not N, E or O; write N, E or O'),
        ("links: {a: {modbus: /dev/x, parity: »e}}", '"e" is not N, E or O; did you mean "E"?'),
        ("links: {a: {modbus: /dev/x, bytesize: »9}}", "9 is not 7 or 8; write 7 or 8"),
        ("links: {a: {modbus: /dev/x, timeout: »0s}}", f"a duration of 0 makes no sense here; {DURATION}"),
        ("links: {a: {serial: »x}}", f'"x" is no serial port; {SERIAL}'),
        ("links: {a: {serial: »3}}", f"3 is no serial port; {SERIAL}"),
        ("links: {a: {serial: »tcp://h}}", f'"tcp://h" lacks a port; {SERIAL}'),
        ("links: {a: {serial: »http://h:1}}", f"http:// is not spoken here; {SERIAL}"),
        ("links: {a: {serial: »{uzb: 1}}}", f"a port is named by usb alone; {SERIAL}"),
        ("links: {a: {serial: »{usb: {pad: 1}}}}", 'unknown key "pad" of usb; write vid, pid, serial or path'),
        ("links: {a: {serial: »{usb: {vid: x}}}}", '"x" is no USB id; write it like 0x0403'),
        ("links: {a: {serial: »{usb: {path: 1.3}}}}", "path is no text; write it in quotes"),
        (
            "links: {a: {serial: »{usb: {}}}}",
            'any port would do; write vid and pid, serial, or path: "1-1.3"',
        ),
        (
            "links: {a: {»unit: 1, serial: /dev/x}}",
            'unknown key "unit"; known here: baudrate, bytesize, dtr, parity, pause, rts, serial, stopbits, timeout',
        ),
        (
            "links: {a: {ble: »hci0}}",
            "warning: hci0 may be another adapter after the next start; write its address; `labgate scan` tells it",
        ),
        (
            "links: {a: {ble: 'DC:A6:32:01:02:03'}, b: {ble: »'dc:a6:32:01:02:03'}}",
            'DC:A6:32:01:02:03 is link "a" already; remove this one and name a in its devices',
        ),
        ("links: {a: {ble: »usb0}}", f'"usb0" is no Bluetooth adapter; {ADAPTER}'),
        ("links: {a: {ble: »'DC:A6:32:01:02'}}", f'"DC:A6:32:01:02" is no Bluetooth adapter; {ADAPTER}'),
        ("links: {a: {ble: 'dc:a6:32:01:02:03', connections: »0}}", "0 is too small; write 1 or more"),
        (
            "links: {a: {ble: 'dc:a6:32:01:02:03', »baudrate: 9600}}",
            'unknown key "baudrate"; known here: ble, connections, passive, timeout',
        ),
        ("links: {»a: {modbus: /dev/x}}", 'warning: no device uses link "a"; remove it, or name it in a device'),
    ],
)
def test_one_error(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr("socket.gethostname", lambda: "g1")
    text, place = marked(text)
    lines = told(load(tmp_path, text))
    if "no device uses" not in expected:
        lines = [line for line in lines if "no device uses" not in line]
    assert lines == [f"gateway.yaml:{place}: {expected}"]


def test_all_errors_at_once_in_the_order_of_the_file(tmp_path):
    site = load(
        tmp_path,
        """\
gateway: {id: raspberrypi, labels: {room: 2}}
hub: {url: "mqtt://u:p@hub", prefx: lab}
buffer: {commit_every: 2 sec}
links: {a: {modbus: x}}
devices:
  d: {driver: ./probe.py, link: b, unit_id: 1, unit_id: 2}
""",
    )
    assert [line.split(": ")[0] for line in told(site)] == [
        f"gateway.yaml:{place}" for place in ("1:15", "1:43", "2:12", "2:30", "3:24", "4:21", "6:33", "6:48")
    ]
    assert {p.part for p in site.fatal} == {"gateway", "hub", "buffer", "links.a", "devices.d"}


def test_numbers_of_a_program_need_no_unit():
    from gateway.config import BufferConfig, ModbusLinkConfig

    assert BufferConfig(commit_every=0.05, max_bytes=5_000_000).commit_every == 0.05
    assert ModbusLinkConfig(modbus="tcp://127.0.0.1:1502", timeout=0.1).timeout == 0.1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("3ms", 0.003), ("1s", 1), ("1.5s", 1.5), ("5min", 300), ("24h", 86400), ("2d", 172800)],
)
def test_durations(tmp_path, text, seconds):
    site = load(tmp_path, f"gateway: {{id: g1}}\nbuffer: {{commit_every: {text}}}\n")
    assert told(site) == []
    assert site.buffer.commit_every == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1MB", 10**6), ("200MB", 2 * 10**8), ("1GB", 10**9), ("0.5TB", 5 * 10**11), ("5000kB", 5 * 10**6)],
)
def test_sizes(tmp_path, text, size):
    site = load(tmp_path, f"gateway: {{id: g1}}\nbuffer: {{max_bytes: {text}}}\n")
    assert told(site) == []
    assert site.buffer.max_bytes == size


def test_no_readable_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_site(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is not a file"):
        load_site(tmp_path)


def test_a_broken_file_says_only_that(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "raspberrypi")
    site = load(tmp_path, "gateway: {id: g1\n")
    assert told(site) == ["gateway.yaml:1:10: the { that begins here is never closed; close it"]
    assert site.fatal == site.problems
    assert site.problems[0].part == "file"


def test_file_names_are_shown_as_they_were_given(tmp_path, monkeypatch):
    write(tmp_path, {"gateway.yaml": "gateway: {id: g1}\nhub: {}\n", "devices.d/a.yaml": "hub: {}\n"})
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    assert [str(p) for p in load_site(Path("gateway.yaml")).problems] == [
        'gateway.yaml:2:1: "url" is missing; add url: VALUE',
        'devices.d/a.yaml:1:1: "hub" belongs in gateway.yaml; move it there',
    ]


def test_a_problem_as_text():
    place = Place("f.yaml", 3, 7)
    assert str(Problem(place, "what", "instead")) == "f.yaml:3:7: what; instead"
    assert str(Problem(place, "what")) == "f.yaml:3:7: what"
    assert str(Problem(place, "what", "instead", severity="warning")) == "f.yaml:3:7: warning: what; instead"


def test_devices_d_is_read_in_name_order(tmp_path):
    site = load(
        tmp_path,
        "gateway: {id: g1}\ndevices: {a: {profile: p1, link: l1, unit_id: 1}}\n",
        **{
            "devices.d/20-b.yaml": "devices: {c: {profile: p1, link: l1, unit_id: 3}}\n",
            "devices.d/10-a.yaml": "links: {l1: {modbus: /dev/x}}\ndevices: {b: {profile: p1, link: l1, unit_id: 2}}\n",
            "devices.d/.hidden.yaml": "nonsense",
            "devices.d/notes.txt": "nonsense",
            "devices.d/30.yml": "devices: {}\n",
            "devices.d/40.yaml": "",
        },
    )
    assert told(site) == ["devices.d/30.yml:1:1: warning: this file is not read; give it a name that ends in .yaml"]
    assert list(site.devices) == ["a", "b", "c"]
    assert list(site.links) == ["l1"]


def test_a_name_twice_names_both_places(tmp_path):
    site = load(
        tmp_path,
        "gateway: {id: g1}\nlinks: {l: {modbus: /dev/x}}\ndevices:\n  a: {profile: p1, link: l, unit_id: 1}\n"
        "  ok: {profile: p1, link: l, unit_id: 9}\n",
        **{"devices.d/b.yaml": "links: {l: {modbus: /dev/y}}\ndevices:\n  a: {profile: p1, link: l, unit_id: 2}\n"},
    )
    assert told(site) == [
        'devices.d/b.yaml:1:9: the name "l" is taken, it also stands at gateway.yaml:2:9; rename one of them',
        'devices.d/b.yaml:3:3: the name "a" is taken, it also stands at gateway.yaml:4:3; rename one of them',
    ]
    assert site.links == {}
    assert list(site.disabled) == ["a", "ok"]


def test_what_does_not_belong_into_devices_d(tmp_path):
    site = load(
        tmp_path,
        "gateway: {id: g1}\n",
        **{"devices.d/b.yaml": "hub: {url: mqtt://h}\nweb: {}\nlinkz: {}\n"},
    )
    assert told(site) == [
        'devices.d/b.yaml:1:1: "hub" belongs in gateway.yaml; move it there',
        'devices.d/b.yaml:2:1: "web" belongs in gateway.yaml; move it there',
        'devices.d/b.yaml:3:1: unknown key "linkz"; did you mean "links"?',
    ]
    assert site.fatal == site.problems


def test_with_a_broken_file_in_devices_d_nothing_else_is_told(tmp_path):
    site = load(
        tmp_path,
        "gateway: {id: g1}\ndevices: {a: {profile: p1, link: there, unit_id: 1}}\n",
        **{"devices.d/b.yaml": "links: {there: {modbus: /dev/x}\n", "devices.d/c.yaml": "a: 1\na: 1\n"},
    )
    assert told(site) == [
        "devices.d/b.yaml:1:8: the { that begins here is never closed; close it",
        'devices.d/c.yaml:2:1: duplicate key "a", first in line 1; remove one of them',
    ]
    assert site.fatal == site.problems


def test_a_wrong_link_disables_its_devices_only(tmp_path):
    site = load(
        tmp_path,
        "gateway: {id: g1}\nlinks: {good: {modbus: /dev/x}, bad: {modbus: x}}\ndevices:\n"
        "  a: {profile: p1, link: good, unit_id: 1}\n  b: {profile: p1, link: bad, unit_id: 1}\n",
    )
    assert [p.part for p in site.problems] == ["links.bad"]
    assert list(site.devices) == ["a"]
    assert list(site.links) == ["good"]
    assert site.disabled["b"].part == "devices.b"
    assert str(site.disabled["b"]).startswith(
        f'{tmp_path}/gateway.yaml:5:26: its link "bad" is disabled; see {tmp_path}'
    )
    assert site.fatal == []


def test_no_usable_device_is_fatal(tmp_path):
    site = load(
        tmp_path,
        "gateway: {id: g1}\nlinks: {bad: {modbus: x}}\ndevices:\n  b: {profile: p1, link: bad, unit_id: 1}\n",
    )
    assert [p.part for p in site.fatal] == ["links.bad"]
