"""What drivers/README.md says of adverts is true: its stanzas are valid, its profile decodes and shows all."""

import re
from pathlib import Path
from typing import Any

import pytest

from drivers.adverts import AdvertListener
from drivers.codecs.advert_formats import AdvertFormat, AdvertOptions, Bits, Number, Text
from drivers.codecs.radio_peer import RadioOptions
from gateway import DecodeError
from gateway.cli.decode import find, named
from gateway.config import load_profile, load_site

README = (Path(__file__).parents[2] / "drivers/README.md").read_text("utf-8")
(SECTION,) = re.findall(r"^## Adverts\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
STANZAS, PROFILE = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)


def test_the_stanzas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "secrets").mkdir()
    for name in re.findall(r"bindkey_file: ([\w-]+)", STANZAS):
        (tmp_path / "secrets" / name).write_text("231d39c1d7cc1ab1aee224cd096db932\n")
        (tmp_path / "secrets" / name).chmod(0o600)
    (tmp_path / "gateway.yaml").write_text("gateway: {id: pi-7}\n" + STANZAS)
    site = load_site(tmp_path / "gateway.yaml")
    assert site.problems == []
    assert len(site.devices) == STANZAS.count("profile:")


@pytest.fixture
def tag(tmp_path: Path) -> tuple[AdvertOptions, list[Any]]:
    (tmp_path / "tag_3.yaml").write_text(PROFILE)
    profile = load_profile("tag_3.yaml", tmp_path)
    return AdvertOptions.model_validate(profile.options, context={}), profile.vectors


def test_the_profile(tag: tuple[AdvertOptions, list[Any]]) -> None:
    options, (vector,) = tag
    found = AdvertListener.decode_input(options, bytes.fromhex(vector["input_hex"]), vector["context"])
    told = vector["expected"]["temperature"]
    assert named(found) == {"temperature": {"value": float(told["value"]), "unit": told["unit"]}}
    armed = named(AdvertListener.decode_input(options, bytes.fromhex("42 0d 01 0064 cbb8334c884f"), {}))
    assert {name: one["value"] for name, one in armed.items()} == {
        "motion": True,
        "moves": 6,
        "mode": "armed",
        "impact": 100,
        "mac": "CB:B8:33:4C:88:4F",
    }
    with pytest.raises(DecodeError, match="press its button"):
        AdvertListener.decode_input(options, b"\xff", {})


def test_the_profile_shows_every_key(tag: tuple[AdvertOptions, list[Any]]) -> None:
    options, _ = tag
    assert (
        options.model_fields_set | {"service"} == AdvertOptions.model_fields.keys() - RadioOptions.model_fields.keys()
    )
    shown = {key for format_ in options.formats for key in format_.model_fields_set}
    assert shown == AdvertFormat.model_fields.keys()
    fields = [field for format_ in options.formats for field in format_.fields]
    keys = {key for field in fields for key in field.model_fields_set}
    assert keys | {"offset", "length"} == Number.model_fields.keys() | Text.model_fields.keys()
    assert {key for field in fields if field.when for key in field.when.model_fields_set} <= Bits.model_fields.keys()


def test_every_profile_that_is_named_is_there() -> None:
    (table,) = re.findall(r"\| profile \| reads \|\n\| --- \| --- \|\n(.*?)\n\n", SECTION, re.DOTALL)
    for row in table.splitlines():
        for name in re.findall(r"`(\w+)`", row.split("|")[1]):
            assert callable(find(name, Path())), name


@pytest.mark.parametrize("told", ["", ", match: {}", ', address: "CB-B8-33-4C-88-4F"'])
def test_a_device_that_is_not_named_is_no_device(told: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(
        'gateway: {id: pi-7}\nlinks: {radio: {ble: "DC:A6:32:01:02:03"}}\n'
        f"devices: {{tag-1: {{profile: ruuvi, link: radio{told}}}}}\n"
    )
    site = load_site(tmp_path / "gateway.yaml")
    (problem,) = (problem for problem in site.problems if problem.part == "devices.tag-1")
    assert problem.severity == "error"
    assert problem.instead.startswith("write ")
    assert "CB:B8:33:4C:88:4F" in problem.instead or "Polar H10*" in problem.instead
