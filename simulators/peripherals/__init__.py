"""Simulated peripherals of a radio, each file written from the document of its vendor or of the Bluetooth SIG."""
