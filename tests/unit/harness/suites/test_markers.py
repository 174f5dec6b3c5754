"""The decorators of suites, and whether a function asserts anything."""

from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import UsageError
from harness.suites import markers


def module(tmp_path: Path, code: str) -> ModuleType:
    """Import code as a suite's file."""
    import importlib.util

    path = tmp_path / "test_x.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("test_x", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("role", ["seed", "check", "wreck"])
def test_a_decorator_returns_the_same_function_with_a_role(role: str) -> None:

    def function() -> None: ...

    assert getattr(markers, role)(function) is function
    assert markers.role_of(function) == role


def test_an_unmarked_function_has_no_role() -> None:
    assert markers.role_of(lambda: None) is None


def test_two_roles_are_refused() -> None:
    with pytest.raises(UsageError, match="marked twice"):
        markers.check(markers.seed(lambda: None))


@pytest.mark.parametrize(
    ("body", "asserts"),
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
def test_a_check_must_contain_an_assertion_that_can_fail(
    tmp_path: Path, body: str, asserts: bool
) -> None:
    """Its own, or one of a function that it calls; `assert True` does not count."""
    code = (
        "import pytest\n"
        "def helper(app):\n    assert app.ok\n"
        "def other(app):\n    app.do()\n"
        f"def it(app):\n    {body}\n"
    )
    assert markers.asserts_something(module(tmp_path, code).it) is asserts


def test_functions_that_call_each_other_do_not_loop_for_ever(tmp_path: Path) -> None:
    code = "def it(app):\n    b(app)\ndef b(app):\n    it(app)\n"
    assert markers.asserts_something(module(tmp_path, code).it) is False
