"""What was heard, as commands are told it."""

from typing import Any

import pytest

from gateway.answer_rows import heard_rows
from gateway.links.air import Advert, Value

TAG = "CB:B8:33:4C:88:4F"
BATTERY = "00002a19-0000-1000-8000-00805f9b34fb"
BTHOME = "0000fcd2-0000-1000-8000-00805f9b34fb"


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (b"t=20", [(None, "743d3230")]),
        (Value(TAG, BATTERY, 14, b"\x64"), [(f"{TAG} {BATTERY}", "64")]),
        (
            Advert(TAG, company={0x0499: b"\x05\x12", 0x004C: b"\x02"}, service={BTHOME: b"\x40"}),
            [(f"{TAG} company 0499", "0512"), (f"{TAG} company 004c", "02"), (f"{TAG} service {BTHOME}", "40")],
        ),
        (Advert(TAG, name="Polar H10"), [(TAG, "")]),
    ],
)
def test_a_frame_says_who_sent_it_and_what(frame: Any, told: list[tuple[str | None, str]]) -> None:
    rows = heard_rows("tag-1", frame)
    assert {row["device"] for row in rows} == {"tag-1"}
    assert [(row["from"], row["heard"]) for row in rows] == told
