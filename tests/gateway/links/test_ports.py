"""Serial ports as they stand in /sys and /dev, in a small copy of them."""

from pathlib import Path

import pytest

from gateway.links import ports


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a USB adapter, a UART with a chip, one without, and a console without hardware."""
    for name, folder in (("SYS", "sys/class/tty"), ("DEV", "dev"), ("PROC", "proc")):
        monkeypatch.setattr(ports, name, tmp_path / folder)
        (tmp_path / folder).mkdir(parents=True)
    usb = tmp_path / "sys/devices/usb1/1-1/1-1.3"
    (usb / "1-1.3:1.0/ttyUSB0").mkdir(parents=True)
    for file, text in (("idVendor", "0403"), ("idProduct", "6001"), ("serial", "A5069RR4"), ("product", "FT232R")):
        (usb / file).write_text(text + "\n")
    uart = tmp_path / "sys/devices/uart"
    uart.mkdir()
    tty = tmp_path / "sys/class/tty"
    for name, device, kind in (
        ("ttyUSB0", usb / "1-1.3:1.0/ttyUSB0", None),
        ("ttyS0", uart, "4"),
        ("ttyS1", uart, "0"),
        ("tty1", None, None),
    ):
        (tty / name).mkdir()
        if device is not None:
            (tty / name / "device").symlink_to(device)
        if kind is not None:
            (tty / name / "type").write_text(kind + "\n")
        (tmp_path / "dev" / name).write_text("")
    by_id = tmp_path / "dev/serial/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-FTDI_FT232R_A5069RR4-if00-port0").symlink_to("../../ttyUSB0")
    return tmp_path


@pytest.fixture
def twins(host: Path) -> Path:
    """The host with two adapters more that have no serial number: udev gives both one name."""
    for n, socket in ((1, "1-1.2"), (2, "1-1.4")):
        usb = host / "sys/devices/usb1/1-1" / socket
        tty = usb / f"{socket}:1.0/ttyUSB{n}"
        tty.mkdir(parents=True)
        for file, text in (("idVendor", "1a86"), ("idProduct", "7523"), ("product", "USB Serial")):
            (usb / file).write_text(text + "\n")
        (host / "sys/class/tty" / tty.name).mkdir()
        (host / "sys/class/tty" / tty.name / "device").symlink_to(tty)
        (host / "dev" / tty.name).write_text("")
        by_path = host / "dev/serial/by-path"
        by_path.mkdir(exist_ok=True)
        (by_path / f"pci-0000:01:00.0-usb-0:{socket[2:]}:1.0-port0").symlink_to(f"../../{tty.name}")
    (host / "dev/serial/by-id/usb-1a86_USB_Serial-if00-port0").symlink_to("../../ttyUSB2")
    return host


def test_ports_with_hardware(host: Path) -> None:
    uart, adapter = ports.serial_ports()
    assert (uart.path, uart.vid, uart.best) == (str(host / "dev/ttyS0"), None, str(host / "dev/ttyS0"))
    assert (adapter.path, adapter.usb_path, adapter.vid, adapter.pid) == (
        str(host / "dev/ttyUSB0"),
        "1-1.3",
        "0403",
        "6001",
    )
    assert (adapter.serial, adapter.product, adapter.holder) == ("A5069RR4", "FT232R", None)
    assert adapter.best == str(host / "dev/serial/by-id/usb-FTDI_FT232R_A5069RR4-if00-port0")


def test_who_holds_a_port(host: Path) -> None:
    fds = host / "proc/4711/fd"
    fds.mkdir(parents=True)
    (fds / "3").symlink_to(host / "dev/ttyUSB0")
    (host / "proc/4711/comm").write_text("minicom\n")
    assert [port.holder for port in ports.serial_ports()] == [None, "minicom (4711)"]


def test_a_host_without_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYS", "DEV", "PROC"):
        monkeypatch.setattr(ports, name, tmp_path / "none")
    assert ports.serial_ports() == []


def test_adapters_that_share_a_name(twins: Path) -> None:
    shared = str(twins / "dev/serial/by-id/usb-1a86_USB_Serial-if00-port0")
    found = {Path(port.path).name: port for port in ports.serial_ports()}
    assert {name: port.shared for name, port in found.items()} == {
        "ttyS0": None, "ttyUSB0": None, "ttyUSB1": shared, "ttyUSB2": shared
    }  # fmt: skip
    assert (found["ttyUSB1"].by_id, found["ttyUSB2"].by_id) == (None, shared)
    assert found["ttyUSB1"].where == '{usb: {path: "1-1.2"}}'
    assert found["ttyUSB0"].where == f'"{twins}/dev/serial/by-id/usb-FTDI_FT232R_A5069RR4-if00-port0"'
    assert (found["ttyUSB1"].interface, found["ttyS0"].interface) == ("1.0", None)
    assert found["ttyUSB1"].by_path == str(twins / "dev/serial/by-path/pci-0000:01:00.0-usb-0:1.2:1.0-port0")
    assert ports.sharing(shared) == [found["ttyUSB1"], found["ttyUSB2"]]
    assert ports.sharing(str(twins / "dev/ttyUSB1")) == ports.sharing(found["ttyUSB0"].best) == []


def test_interfaces_of_one_adapter_and_adapters_with_numbers_share_nothing(twins: Path) -> None:
    (twins / "sys/devices/usb1/1-1/1-1.2/serial").write_text("A\n")
    (twins / "sys/devices/usb1/1-1/1-1.4/serial").write_text("B\n")
    second = twins / "sys/devices/usb1/1-1/1-1.3/1-1.3:1.1/ttyUSB3"
    second.mkdir(parents=True)
    (twins / "sys/class/tty/ttyUSB3").mkdir()
    (twins / "sys/class/tty/ttyUSB3/device").symlink_to(second)
    found = ports.serial_ports()
    assert [port.interface for port in found] == [None, "1.0", "1.0", "1.0", "1.1"]
    assert {port.shared for port in found} == {None}
