"""Pure: bytes to values and back. No I/O; raises only DecodeError."""
