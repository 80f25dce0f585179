"""Pytest plugin for CI: a skipped test is a failed one, unless its reason begins with "not here: ".

A test is skipped where a component is missing, and CI has them all. "not here: " is for what no component mends, such
as a test of file permissions run by root. `make test` loads the plugin where CI=true.
"""

from collections.abc import Generator

import pytest

BY_DESIGN = "not here: "


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return
    path, line, reason = report.longrepr
    if not reason.removeprefix("Skipped: ").startswith(BY_DESIGN):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: may not be left out in CI: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report
