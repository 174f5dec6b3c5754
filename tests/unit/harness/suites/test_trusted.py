"""trusted.yml: which recipes are trusted; every mistake is an error with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SettingError
from harness.settings import CHECKOUT
from harness.suites import trusted
from tests.unit.harness.plugin.suites_folder import GOOD, Suites

ENROLLED = ["custom-html", "miniflux"]


def load(folder: Path, text: str) -> dict[str, trusted.Trust]:
    """Read a trusted.yml with this text."""
    (folder / trusted.FILE).write_text(text)
    return dict(trusted.load(folder, ENROLLED))


def test_no_recipe_is_trusted_by_default(tmp_path: Path) -> None:
    """Neither without the file, nor with the one in this checkout."""
    assert trusted.load(tmp_path, ENROLLED) == {}
    assert trusted.load(CHECKOUT / "recipes_tests", ["custom-html"]) == {}


def test_a_recipe_is_trusted_by_its_name(tmp_path: Path) -> None:
    found = load(tmp_path, "custom-html: {}\nminiflux:\n  timeout: 60\n")
    assert {name: trust.timeout for name, trust in found.items()} == {
        "custom-html": 300,
        "miniflux": 60,
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("custom-htm: {}", "1: recipe 'custom-htm' is not enrolled; did you mean 'custom-html'?"),
        ("miniflux: {}\nzzz: {}", "2: recipe 'zzz' is not enrolled; known: custom-html, mini"),
        ("miniflux:\n  timout: 5", "2: unknown key 'miniflux.timout'; did you mean 'timeout'?"),
        ("miniflux:\n  socket: yes", "2: unknown key 'miniflux.socket'; known: timeout"),
        ("miniflux:\n  timeout: 5m", "2: 'miniflux.timeout' is wrong: input should be a valid int"),
        ("miniflux:\n  timeout: 0", "2: 'miniflux.timeout' is wrong: input should be greater than"),
        ("miniflux:\n  timeout: 9999", "2: 'miniflux.timeout' is wrong: input should be less than"),
        ("miniflux: true", "1: 'miniflux' is wrong"),
        ("miniflux:", "1: 'miniflux' is wrong"),
        ("miniflux: {}\nminiflux: {}", "2: 'miniflux' is already set in line 1"),
        ("- miniflux", "1: must contain 'key: value' lines"),
        ("a: {}\nminiflux: ]", "2: not readable as YAML"),
        ("? [a]\n: {}", "1: not readable as YAML"),
        ("1: {}", "1: '1' is wrong"),
    ],
)
def test_a_mistake_is_an_error_with_file_line_and_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
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


def test_own_tests_are_collected_only_with_trust(suites: Suites) -> None:
    """It is the last step of its life that needs the running app, so it cannot affect other stages."""
    assert "test_recipe_tests[good]" not in suites.collected()
    (suites.folder / "trusted.yml").write_text("good: {}\n")
    names = suites.collected()
    after = names[names.index("test_recipe_tests[good]") + 1 : names.index("test_base[good]")]
    assert after == ["kept[while-stopped]", "test_works[while-stopped]"]
    quick = suites.collected("--quick")
    assert quick[-2:] == ["test_recipe_tests[good]", "test_leave_no_trace[good]"]


def test_a_mistake_stops_the_session(suites: Suites) -> None:
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
def test_what_counts_as_own_tests(tmp_path: Path, files: list[str], found: bool) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert trusted.tests_of(tmp_path) == (tmp_path / "tests" if found else None)


def test_a_linked_tests_folder_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test_page.py").touch()
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "tests").symlink_to(tmp_path / "elsewhere")
    assert trusted.tests_of(tmp_path / "checkout") is None
