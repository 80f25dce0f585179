"""The version of labgate, in one place for code; pyproject.toml states the same (a test compares)."""

VERSION = "0.1.0"
