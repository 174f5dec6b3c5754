"""The abra wrapper: exact argument lists and tolerant parsing of its output."""

import stat
import sys
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.swarm.abra import Abra, AbraFailed, parse_lint

TABLE = """\
INFO retrieving tags
┏━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━┓
┃ REF  ┃ RULE              ┃ SEVERITY ┃ SATISFIED ┃ SKIPPED ┃ RESOLVE      ┃
┣━━━━━━╋━━━━━━━━━━━━━━━━━━━╋━━━━━━━━━━╋━━━━━━━━━━━╋━━━━━━━━━╋━━━━━━━━━━━━━━┫
┃ R001 ┃ compose 3.8       ┃ warn     ┃ ❌        ┃ -       ┃ use 3.8      ┃
┃ R009 ┃ one service app   ┃ error    ┃ ❌        ┃ -       ┃ name it app  ┃
┃ R010 ┃ traefik.enable    ┃ error    ┃ ❌        ┃ ✅      ┃ -            ┃
┃ R011 ┃ services have img ┃ error    ┃ ✅        ┃ -       ┃ -            ┃
┗━━━━━━┻━━━━━━━━━━━━━━━━━━━┻━━━━━━━━━━┻━━━━━━━━━━━┻━━━━━━━━━┻━━━━━━━━━━━━━━┛
WARN critical errors present in recipe
"""


@pytest.fixture
def fake(tmp_path: Path) -> "Fake":
    """A fake abra executable; see `Fake`."""
    return Fake(tmp_path)


class Fake:
    """Makes an executable that prints a text and records its arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"

    def abra(self, output: str = "", exit_code: int = 0) -> Abra:
        """Return a wrapper around a program with this output and exit code."""
        (self.folder / "output").write_text(output)
        program = self.folder / "abra"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            f"open({str(self.calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"open({str(self.folder / 'dir')!r}, 'w').write(os.environ['ABRA_DIR'])\n"
            f"print(open({str(self.folder / 'output')!r}).read())\nsys.exit({exit_code})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return Abra(str(program), self.folder / "data")

    def command_lines(self) -> list[str]:
        """Return the command lines so far."""
        return self.calls.read_text().splitlines()


def test_every_command_has_its_own_flags(fake: Fake) -> None:
    """The same letter means different things in different commands; abra must not wait itself (R4)."""
    abra = fake.abra("{}")
    abra.app_new("hello", "d.ci.test")
    abra.app_deploy("d.ci.test")
    abra.app_undeploy("d.ci.test")
    abra.app_backup_create("d.ci.test")
    abra.app_restore("d.ci.test")
    abra.app_cmd("d.ci.test", "app", "setup", ["a", "b"])
    abra.app_secret_insert("d.ci.test", "key", "v1", Path("/f"))
    assert fake.command_lines() == [
        "app new -n -o -C -s default -D d.ci.test hello",
        "app deploy -n -o -C -D -c d.ci.test",
        "app undeploy -n d.ci.test",
        "app backup create -n d.ci.test",
        "app restore -n -C d.ci.test",
        "app cmd -n -C -t d.ci.test app setup -- a b",
        "app secret insert -n -o -C -f d.ci.test key v1 /f",
    ]


def test_every_command_gets_the_runs_own_data_directory(fake: Fake) -> None:
    """An ABRA_DIR for each run keeps parallel runs apart (incidents C1, C6)."""
    fake.abra().app_deploy("d")
    assert (fake.folder / "dir").read_text() == str(fake.folder / "data")


def test_a_fatal_line_becomes_the_error_message(fake: Fake) -> None:
    with pytest.raises(
        AbraFailed, match="'abra app deploy -n' failed with exit code 1: app is broken"
    ):
        fake.abra("INFO hello\nFATA app is broken", 1).app_deploy("d")


def test_undeploying_an_app_that_is_not_deployed_succeeds(fake: Fake) -> None:
    fake.abra("FATA d is not deployed?", 1).app_undeploy("d")


def test_json_is_found_between_log_lines(fake: Fake) -> None:
    """In a terminal, log lines and JSON are mixed."""
    output = 'INFO generating [x]\n[{"name": "db", "value": "s3cret-value"}]\nINFO done'
    made = fake.abra(output).app_secret_generate("d")
    assert made["db"].reveal() == "s3cret-value"


def test_no_missing_secret_is_an_empty_result(fake: Fake) -> None:
    """abra exits with 1 if every secret exists."""
    assert (
        fake.abra("FATA no secrets generated, do they already exist?", 1).app_secret_generate("d")
        == {}
    )


def test_any_other_failure_to_generate_secrets_is_an_error(fake: Fake) -> None:
    with pytest.raises(AbraFailed, match="too long"):
        fake.abra("FATA secret name too long", 1).app_secret_generate("d")


@pytest.mark.parametrize(
    "keys",
    [("name", "created-on-server"), ("NAME", "CREATED ON SERVER"), ("name", "created_on_server")],
)
def test_keys_are_accepted_in_every_spelling(fake: Fake, keys: tuple[str, str]) -> None:
    """Versions of abra spell their JSON keys differently."""
    output = f'[{{"{keys[0]}": "db", "version": "v1", "{keys[1]}": "true"}}]'
    (state,) = fake.abra(output).app_secret_ls("d")
    assert (state.name, state.version, state.created) == ("db", "v1", True)


def test_output_without_json_is_an_error(fake: Fake) -> None:
    """It is not an empty list."""
    with pytest.raises(AbraFailed, match="no JSON in the output"):
        fake.abra("INFO nothing here").app_secret_ls("d")


def test_output_that_may_contain_secrets_is_not_quoted(fake: Fake) -> None:
    with pytest.raises(AbraFailed) as caught:
        fake.abra("FATA value hunter2hunter2", 1).app_secret_insert("d", "k", "v1", Path("/f"))
    assert "hunter2" not in str(caught.value)


def test_a_missing_abra_is_an_infrastructure_error(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="set CCCI_ABRA"):
        Abra("/nowhere/abra", tmp_path).version()


def test_an_abra_that_is_killed_is_an_infrastructure_error(tmp_path: Path) -> None:
    """The OOM killer may kill it, which says nothing about the recipe."""
    program = tmp_path / "abra"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    abra = Abra(str(program), tmp_path)
    for call in (abra.app_deploy, abra.app_undeploy, abra.app_secret_generate, abra.recipe_lint):
        with pytest.raises(InfraError, match="killed by SIGKILL"):
            call("hello")


def test_lint_uses_the_severity_column() -> None:
    """Broken rules of level error fail; warnings and skipped rules do not."""
    lint = parse_lint(TABLE)
    assert lint.failed == ("R009 one service app (name it app)",)
    assert lint.warned == ("R001 compose 3.8 (use 3.8)",)


def test_lint_of_a_clean_recipe_fails_nothing() -> None:
    assert parse_lint(TABLE.replace("❌", "✅")).failed == ()
