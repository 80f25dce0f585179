"""What drivers/README.md says of serial drivers is true: its stanzas are valid, its lines tell what it says."""

import re
from pathlib import Path

import pytest

from drivers.lines import LineBoard, LinesOptions
from gateway import Quantity
from gateway.config import load_site

README = (Path(__file__).parents[2] / "drivers/README.md").read_text("utf-8")
STANZAS = [
    t for t in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "driver: lines" in t or "driver: nmea" in t
]


@pytest.mark.parametrize("stanza", STANZAS, ids=["lines", "others"])
def test_the_stanzas(stanza: str, tmp_path: Path) -> None:
    links = "".join(f"  {n}: {{serial: /dev/tty{n}}}\n" for n in ("boat", "bench", "lab", "roof", "rack"))
    text = stanza if "links:" in stanza else f"links:\n{links}{stanza}"
    (tmp_path / "gateway.yaml").write_text("gateway: {id: pi-7}\n" + text)
    site = load_site(tmp_path / "gateway.yaml")
    assert [str(problem) for problem in site.problems if problem.severity == "error"] == []
    assert len(site.devices) == stanza.count("driver:")


def test_the_lines() -> None:
    (table,) = re.findall(r"\| a line like \| tells \|\n\| --- \| --- \|\n(.*?)\n\n", README, re.DOTALL)
    for row in table.splitlines():
        cell = re.split(r"(?<!\\)\|", row)[1]
        for line in re.findall(r"`([^`]+)`", cell):
            board = LineBoard(LinesOptions(), None)  # no link is needed
            assert board.decode(line.replace("\\|", "|").replace("<tab>", "\t").encode()), line


def test_units_may_be_written_as_people_do() -> None:
    options = LinesOptions.model_validate({"names": ["t", "n"], "units": {"t": "°C", "x": "furlong"}})
    board = LineBoard(options, None)
    assert board.quantities() == {"t": Quantity("Cel"), "n": Quantity(), "x": Quantity("furlong")}
    assert [(r.name, r.unit) for r in board.decode(b"1,2")] == [("t", "Cel"), ("n", None)]
