"""A bluetoothd of our own on a private bus: adapters, peripherals within their reach, and what goes wrong with them."""
