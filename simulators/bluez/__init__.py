"""A bluetoothd of our own on a private bus: adapters, peripherals within their reach, and what goes wrong with them.

`bus.PrivateBus` and `bluetoothd.FakeBluez` are the host, `model.Peripheral` is a device; `systemd.Systemd` restarts the
host. Nothing is imported here: who only describes a device needs no D-Bus.
"""
