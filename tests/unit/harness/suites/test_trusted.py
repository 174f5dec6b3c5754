"""trusted.yml: who is trusted, and every mistake a sentence with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SettingError
from harness.settings import CHECKOUT
from harness.suites import trusted
from tests.unit.harness.plugin.test_collection import GOOD, Suites

ENROLLED = ["custom-html", "miniflux"]


def load(folder: Path, text: str) -> dict[str, trusted.Trust]:
    """Read a trusted.yml of this text."""
    (folder / trusted.FILE).write_text(text)
    return dict(trusted.load(folder, ENROLLED))


def test_nobody_is_trusted_by_default(tmp_path: Path) -> None:
    """Neither without the file, nor by the one that this checkout has."""
    assert trusted.load(tmp_path, ENROLLED) == {}
    assert trusted.load(CHECKOUT / "recipes_tests", ["custom-html"]) == {}


def test_a_recipe_is_trusted_by_its_name(tmp_path: Path) -> None:
    """Its own tests have 300 s unless it says otherwise."""
    found = load(tmp_path, "custom-html: {}\nminiflux:\n  timeout: 60\n")
    assert {name: trust.timeout for name, trust in found.items()} == {
        "custom-html": 300,
        "miniflux": 60,
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("custom-htm: {}", "1: recipe 'custom-htm' is not enrolled; did you mean 'custom-html'?"),
        ("miniflux: {}\nzzz: {}", "2: recipe 'zzz' is not enrolled; known are: custom-html, mini"),
        ("miniflux:\n  timout: 5", "2: unknown key 'miniflux.timout'; did you mean 'timeout'?"),
        ("miniflux:\n  socket: yes", "2: unknown key 'miniflux.socket'; known are: timeout"),
        ("miniflux:\n  timeout: 5m", "2: 'miniflux.timeout' is wrong: input should be a valid int"),
        ("miniflux:\n  timeout: 0", "2: 'miniflux.timeout' is wrong: input should be greater than"),
        ("miniflux:\n  timeout: 9999", "2: 'miniflux.timeout' is wrong: input should be less than"),
        ("miniflux: true", "1: 'miniflux' is wrong"),
        ("miniflux:", "1: 'miniflux' is wrong"),
        ("miniflux: {}\nminiflux: {}", "2: 'miniflux' stands in line 1 already"),
        ("- miniflux", "1: must hold 'key: value' lines"),
        ("a: {}\nminiflux: ]", "2: not readable as YAML"),
        ("? [a]\n: {}", "1: not readable as YAML"),
        ("1: {}", "1: '1' is wrong"),
    ],
)
def test_a_mistake_is_an_error_with_file_line_and_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    """What is misspelt trusts nobody, and never silently."""
    with pytest.raises(SettingError) as caught:
        load(tmp_path, text + "\n")
    assert str(caught.value).startswith(f"{tmp_path}/trusted.yml:")
    assert sentence in str(caught.value)


@pytest.fixture
def suites(tmp_path: Path) -> Suites:
    """A folder of suites with one recipe."""
    made = Suites(tmp_path)
    made.add("good", GOOD)
    return made


def test_own_tests_are_a_step_only_with_trust(suites: Suites) -> None:
    """Without an entry the step is not there; with one it is the last of its life that needs the app."""
    assert "test_recipe_tests[good]" not in suites.collected()
    (suites.folder / "trusted.yml").write_text("good: {}\n")
    names = suites.collected()
    after = names[names.index("test_recipe_tests[good]") + 1 : names.index("test_base[good]")]
    assert after == ["kept[while-stopped]", "test_works[while-stopped]"]
    quick = suites.collected("--quick")
    assert quick[-2:] == ["test_recipe_tests[good]", "test_leave_no_trace[good]"]


def test_a_mistake_stops_the_session(suites: Suites) -> None:
    """It is a usage error of one sentence, before anything is deployed."""
    (suites.folder / "trusted.yml").write_text("goood: {}\n")
    done = suites.collect()
    assert done.returncode == 4
    assert "trusted.yml:1: recipe 'goood' is not enrolled; did you mean 'good'?" in done.stderr


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([], False),
        (["tests/test_page.py"], True),
        (["tests/web/test_page.py"], True),
        (["tests/page.py", "tests/test_page.sh"], False),
        (["test/test_page.py", "test_page.py"], False),
    ],
)
def test_what_counts_as_a_recipe_s_own_tests(tmp_path: Path, files: list[str], found: bool) -> None:
    """Files test_*.py anywhere below the folder tests."""
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert trusted.tests_of(tmp_path) == (tmp_path / "tests" if found else None)


def test_a_link_is_no_folder_of_tests(tmp_path: Path) -> None:
    """A recipe's own tests are its own files."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test_page.py").touch()
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "tests").symlink_to(tmp_path / "elsewhere")
    assert trusted.tests_of(tmp_path / "checkout") is None
