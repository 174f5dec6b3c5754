"""Commands in `abra.sh` that would run when a shell sources it are found; its exports are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.recipe import abra_sh
from harness.recipe.limits import MAX_FILE_SIZE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# a\x0bb\n", "line 1 has the control character"),
        ("export A='\n\x1b'\n", "line 2 has the control character"),
        ("export DOMAIN=x\n", "sets DOMAIN"),
        ("export DOCKER_HOST=x\n", "sets DOCKER_HOST"),
        ("A='$(x)'\n", "sets A from a command"),
        ("export A=x;\n", "exports A in a way that abra and a shell may read"),
        ("export A='`x`'\n", "runs the command 'export A="),
        ('export A="`x`"\n', "runs the command 'export A="),
        ('export A="$B"\n', "runs the command 'export A="),
        ('export A="a\\"b"\n', "runs the command 'export A="),
        ('export A="wow!"\n', "runs the command 'export A="),
        ("set -a\n", "runs the command 'set -a'"),
        ("set -o allexport\n", "runs the command 'set -o allexport'"),
        ("set -- a b\n", "runs the command 'set -- a b'"),
        ("eval() {\n:\n}\n", "defines a function 'eval'"),
        ("f() {\n:\n} > x\n", "has a function 'f' that does not end with a line '}'"),
        ("f() {\n", "is not valid shell: "),
        ("f() {\nexport A=1\n}\nexport A=2\n", ""),
        ("export A=1 B=2\n", "exports B in a way that abra and a shell may read"),
    ],
)
def test_each_forbidden_command_has_its_own_reason(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "abra.sh").write_text(text)
    problem = abra_sh.problem(tmp_path)
    assert problem.startswith(why) and bool(problem) == bool(why), problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "set -e\n",
        "set -eu\n",
        "set -euo pipefail\n",
        "A='x y'\n",
        'export A="x"\n',
        "export A='x B=y'\n",
    ],
)
def test_harmless_lines_are_allowed(tmp_path: Path, text: str) -> None:
    assert abra_sh.problem(tmp_path) == ""
    (tmp_path / "abra.sh").write_text(text)
    assert abra_sh.problem(tmp_path) == ""


def test_a_folder_or_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "abra.sh"
    path.mkdir()
    assert abra_sh.problem(tmp_path) == "is not a file"
    path.rmdir()
    path.write_text("#" * MAX_FILE_SIZE)
    assert abra_sh.problem(tmp_path) == ""
    path.write_text("#" * (MAX_FILE_SIZE + 1))
    assert abra_sh.problem(tmp_path) == "is larger than 1 MiB"


def test_the_number_of_bash_calls_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line in a function that starts with '}' costs a process."""
    monkeypatch.setattr(abra_sh, "MAX_PARSE_ATTEMPTS", 3)
    for braces, why in ((2, ""), (3, "has a function 'f' that does not end")):
        text = "f() {\ncat <<E\n" + "}\n" * braces + "E\n}\n"
        (tmp_path / "abra.sh").write_text(text)
        assert abra_sh.problem(tmp_path).startswith(why) is True
        assert bool(abra_sh.problem(tmp_path)) == bool(why)


def test_bash_reads_no_start_up_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bash without a terminal would run the file that BASH_ENV names."""
    (tmp_path / "start").write_text(f"touch {tmp_path}/ran\n")
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "start"))
    (tmp_path / "abra.sh").write_text("f() {\n:\n}\n")
    assert abra_sh.problem(tmp_path) == ""
    assert not (tmp_path / "ran").exists()


def test_exports_at_the_start_of_a_line_are_read(tmp_path: Path) -> None:
    """Recipes set versions of configs there. The file is read, not run."""
    (tmp_path / "abra.sh").write_text(
        f"export A=v1 # why\nexport B=\"x y\"\nexport C='z'\nD=v4\ntouch {tmp_path}/ran\n"
        "export E=$(date)\nf() { echo export F; }\ng() {\n  export G=1\n}\n"
    )
    assert abra_sh.exports(tmp_path) == {"A": "v1", "B": "x y", "C": "z", "E": "$(date)"}
    assert not (tmp_path / "ran").exists()


def test_a_recipe_without_abra_sh_has_no_exports(tmp_path: Path) -> None:
    assert abra_sh.exports(tmp_path) == {}
