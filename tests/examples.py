"""How many examples a property test tries: few in CI, many with LABGATE_LONG=1."""

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("LABGATE_LONG") == "1"


def examples(count: int, long: int | None = None) -> settings:
    """`count` examples (`long`, by default twenty times as many, with LABGATE_LONG=1); no deadline: CI is shared."""
    return settings(
        max_examples=(long or 20 * count) if LONG else count,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
