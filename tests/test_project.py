"""The project as a whole: README, Makefile, pins, CI's rules and what the wheel carries."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from gateway.version import VERSION

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Put together here, so that this file does not contain them.
NOT_IN_THE_PROJECT = {
    "a path of one machine": ["/" + "work/", "/" + "tmp/v/", "/" + "root/", "." + "pyenv"],
    "an address of a package index": ["pypi" + ".org", "python" + "hosted", "deb." + "debian.org", "npm" + "js.org"],
    "an option that names an index": ["index" + "-url", "find" + "-links", "trusted" + "-host"],
}


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def tracked() -> list[Path]:
    """The files git tracks, but for those deleted in the work tree."""
    return [path for name in run("git", "ls-files", "-z").stdout.split("\0") if (path := ROOT / name).is_file()]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def name_of(requirement: str) -> str:
    """The normalized name that a requirement or a pin begins with."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name_of(name): version for name, version in pairs}


def test_the_makefile_has_the_promised_targets() -> None:
    assert {"demo", "test", "lint", "bench"} <= targets()


def test_make_never_calls_sudo() -> None:
    calls = re.compile(r"^[\s@]*sudo\b|[;&|] *sudo\b|[\"']sudo[\"']", re.MULTILINE)
    for path in (ROOT / "Makefile", *(ROOT / ".ci").iterdir()):
        assert not calls.search(path.read_text("utf-8")), path


def test_the_readme_names_only_targets_that_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    code = re.findall(r"`(make [^`]*)`|^ *\$? *(make .*)$", readme, re.MULTILINE)
    named = {
        word
        for inline, line in code
        for word in (inline or line).partition("#")[0].split()[1:]
        if re.fullmatch(r"[a-z][a-z-]*", word)
    }
    assert named <= targets()
    assert {"demo", "test"} <= named


@pytest.mark.parametrize("kind", NOT_IN_THE_PROJECT)
def test_no_tracked_file_contains(kind: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {needle}"
        for path in tracked()
        for needle in NOT_IN_THE_PROJECT[kind]
        if needle.encode() in path.read_bytes()
    ]
    assert not found, "\n".join(found)


def test_the_extras_exist() -> None:
    assert {"demo", "web", "dev"} <= set(PROJECT["optional-dependencies"])


def test_everything_wanted_is_pinned() -> None:
    wanted = [
        *PROJECT["dependencies"],
        *(name for extra in PROJECT["optional-dependencies"].values() for name in extra),
    ]
    assert {name_of(requirement) for requirement in wanted} <= pins().keys()


def test_a_skipped_test_fails_in_ci_but_not_by_design(tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text(
        "import pytest\n"
        "def test_component():\n    pytest.skip('no broker')\n"
        "@pytest.mark.skipif(True, reason='no bus')\n"
        "def test_mark():\n    pass\n"
        "def test_root():\n    pytest.skip('not here: root may write everywhere')\n"
    )
    pytest_run = [
        sys.executable,
        "-m",
        "pytest",
        "--rootdir",
        tmp_path,
        "-c",
        "pyproject.toml",
        "-p",
        "no:cacheprovider",
    ]
    in_ci = run(*pytest_run, "-p", "tests.skips_fail", tmp_path)
    assert in_ci.returncode == 1
    assert re.search(r"1 failed, 1 skipped, 1 error in", in_ci.stdout), in_ci.stdout + in_ci.stderr
    assert "may not be left out in CI: Skipped: no broker" in in_ci.stdout
    assert "3 skipped in" in run(*pytest_run, tmp_path).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="builds the wheel; make sets it up")
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_contains_all_packages_profiles_and_examples(wheel: zipfile.ZipFile) -> None:
    files = {path.relative_to(ROOT) for path in tracked()}
    sources = {str(path) for path in files if path.parts[0] in ("gateway", "drivers", "simulators")}
    examples = {str("gateway/examples" / path.relative_to("config")) for path in files if path.parts[0] == "config"}
    carried = set(wheel.namelist())
    moved = {"gateway/cli/entry.py"}  # installed as the module labgate
    assert (sources - moved) | examples | {"labgate.py"} <= carried
    assert any(name.startswith("drivers/profiles/") and name.endswith(".yaml") for name in carried)
    assert any(name.startswith("gateway/examples/") for name in carried)


def test_the_wheel_contains_nothing_else(wheel: zipfile.ZipFile) -> None:
    info = f"labgate-{PROJECT['version']}.dist-info"
    assert {Path(name).parts[0] for name in wheel.namelist()} == {
        "gateway",
        "drivers",
        "simulators",
        "labgate.py",
        info,
    }


def test_the_wheel_says_the_version_and_extras_of_the_project(wheel: zipfile.ZipFile) -> None:
    info = f"labgate-{PROJECT['version']}.dist-info"
    metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert metadata["Version"] == PROJECT["version"]
    assert set(PROJECT["optional-dependencies"]) == set(metadata.get_all("Provides-Extra"))
    assert "labgate = labgate:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_code_and_project_state_the_same_version() -> None:
    assert PROJECT["version"] == VERSION
