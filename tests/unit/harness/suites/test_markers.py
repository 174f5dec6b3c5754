"""What a suite's author marks, and refusing what proves nothing."""

from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import UsageError
from harness.suites import markers


def module(tmp_path: Path, code: str) -> ModuleType:
    """Import a piece of code as a suite's file."""
    import importlib.util

    path = tmp_path / "test_x.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("test_x", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("role", ["seed", "check", "wreck"])
def test_a_function_knows_its_role(role: str) -> None:
    """The decorators mark and change nothing else."""

    def function() -> None: ...

    assert getattr(markers, role)(function) is function
    assert markers.role_of(function) == role


def test_an_unmarked_function_has_no_role() -> None:
    """Ordinary functions are not ours."""
    assert markers.role_of(lambda: None) is None


def test_two_roles_are_refused() -> None:
    """A function is one of the three."""
    with pytest.raises(UsageError, match="marked twice"):
        markers.check(markers.seed(lambda: None))


@pytest.mark.parametrize(
    ("body", "proves"),
    [
        ("assert app.get('/').text == 'x'", True),
        ("app.get('/')", False),
        ("assert True", False),
        ("assert 'text'", False),
        ("helper(app)", True),
        ("other(app)", False),
        ("pytest.fail('no')", True),
        ("with pytest.raises(ValueError): app.x()", True),
        ("...", False),
    ],
)
def test_a_check_proves_something_only_if_it_can_fail(
    tmp_path: Path, body: str, proves: bool
) -> None:
    """An assertion of its own or of a function it calls makes a check; a constant does not."""
    code = (
        "import pytest\n"
        "def helper(app):\n    assert app.ok\n"
        "def other(app):\n    app.do()\n"
        f"def it(app):\n    {body}\n"
    )
    assert markers.proves_something(module(tmp_path, code).it) is proves


def test_functions_that_call_each_other_are_read_once(tmp_path: Path) -> None:
    """A loop of calls does not hang the collection."""
    code = "def it(app):\n    b(app)\ndef b(app):\n    it(app)\n"
    assert markers.proves_something(module(tmp_path, code).it) is False
