"""Fixtures of the simulated BlueZ, that tests of other rooms use too."""

from tests.radio import radio

__all__ = ["radio"]
