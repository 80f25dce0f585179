"""What drivers/README.md says of connected devices is true: its stanzas are valid, its profile decodes its vector."""

import re
from pathlib import Path

from gateway.cli.decode import find, named
from gateway.config import load_site

README = (Path(__file__).parents[2] / "drivers/README.md").read_text("utf-8")
(SECTION,) = re.findall(r"^## Characteristics\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
STANZAS, PROFILE = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)


def test_the_stanzas(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("gateway: {id: pi-7}\n" + STANZAS)
    site = load_site(tmp_path / "gateway.yaml")
    assert site.problems == []
    assert len(site.devices) == STANZAS.count("profile:")


def test_the_profile(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/soil.yaml").write_text(PROFILE)
    (tmp_path / "gateway.yaml").write_text(
        'gateway: {id: pi-7}\nlinks: {radio: {ble: "DC:A6:32:01:02:03"}}\n'
        'devices: {bed: {profile: soil, link: radio, match: {name: "Soil*"}}}\n'
    )
    site = load_site(tmp_path / "gateway.yaml")
    assert site.problems == []
    vector = {"characteristic_uuid": "5E110002-0000-4000-8000-00805F9B34FB"}
    found = named(find("soil", tmp_path)(bytes.fromhex("01b80b"), vector))
    assert found == {"moisture": {"value": 30.0, "unit": "%"}}


def test_every_profile_that_is_named_is_there() -> None:
    (table,) = re.findall(r"\| profile \| reads \|\n\| --- \| --- \|\n(.*?)\n\n", SECTION, re.DOTALL)
    for row in table.splitlines():
        for name in re.findall(r"`(\w+)`", row.split("|")[1]):
            assert find(name, Path()), name
