"""A secret that a driver is told: the text of a file beside the configuration, shown to nobody."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from gateway import Options, Secret


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


class Locked(Options):
    bindkey_file: Secret | None = None


def test_a_driver_is_told_the_text_of_a_secret_and_shows_it_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text("231d39c1\n")
    (tmp_path / "secrets/key").chmod(0o600)
    told = Locked.model_validate({"bindkey_file": "key"}, context={"base": tmp_path})
    assert told.bindkey_file is not None
    assert told.bindkey_file.get_secret_value() == "231d39c1"
    assert "231d" not in f"{told!r} {told} {told.model_dump()}"
    assert told == Locked(bindkey_file=SecretStr("231d39c1"))


@pytest.mark.parametrize(
    ("value", "context", "said"),
    [
        ("none", {"base": Path("/nonexistent")}, "no such file: looked for /nonexistent/secrets/none; put it there"),
        (231, {"base": Path("/nonexistent")}, "231 is not the name of a file; write it in quotes"),
        ("key", {}, "a secret is no part of a profile; write it at the device"),
    ],
)
def test_a_driver_s_secret_that_is_not_there(value: object, context: dict[str, Path], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Locked.model_validate({"bindkey_file": value}, context=context)


def test_a_driver_s_secret_that_everybody_may_read_or_nobody(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    key = tmp_path / "secrets/key"
    key.write_bytes(b"\xff\xfe")
    for mode, said in ((0o644, "may be read by everybody"), (0o600, "cannot be read: .* write text into it")):
        key.chmod(mode)
        with pytest.raises(ValidationError, match=said):
            Locked.model_validate({"bindkey_file": "key"}, context={"base": tmp_path})
