"""The wrapper for abra: exact argument lists, and tolerant reading of what it prints."""

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
    """An executable that stands where abra is called: says what it is told, notes its words."""
    return Fake(tmp_path)


class Fake:
    """Makes the executable and the wrapper around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"

    def abra(self, says: str = "", status: int = 0) -> Abra:
        """Return a wrapper around a program that prints `says` and ends with `status`."""
        (self.folder / "says").write_text(says)
        program = self.folder / "abra"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            f"open({str(self.calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"open({str(self.folder / 'dir')!r}, 'w').write(os.environ['ABRA_DIR'])\n"
            f"print(open({str(self.folder / 'says')!r}).read())\nsys.exit({status})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return Abra(str(program), self.folder / "data")

    def words(self) -> list[str]:
        """Return the command lines so far."""
        return self.calls.read_text().splitlines()


def test_every_command_has_its_own_flags(fake: Fake) -> None:
    """One letter means many things, so each line is fixed, flags first; abra never waits itself (R4)."""
    abra = fake.abra("{}")
    abra.app_new("hello", "d.ci.test")
    abra.app_deploy("d.ci.test")
    abra.app_undeploy("d.ci.test")
    abra.app_backup_create("d.ci.test")
    abra.app_restore("d.ci.test")
    abra.app_cmd("d.ci.test", "app", "setup", ["a", "b"])
    abra.app_secret_insert("d.ci.test", "key", "v1", Path("/f"))
    assert fake.words() == [
        "app new -n -o -C -s default -D d.ci.test hello",
        "app deploy -n -o -C -D -c d.ci.test",
        "app undeploy -n d.ci.test",
        "app backup create -n d.ci.test",
        "app restore -n -C d.ci.test",
        "app cmd -n -C -t d.ci.test app setup -- a b",
        "app secret insert -n -o -C -f d.ci.test key v1 /f",
    ]


def test_each_call_gets_the_runs_own_data_directory(fake: Fake) -> None:
    """One ABRA_DIR per run keeps parallel runs, trees and commands apart (incidents C1, C6)."""
    fake.abra().app_deploy("d")
    assert (fake.folder / "dir").read_text() == str(fake.folder / "data")


def test_a_fatal_line_becomes_the_error(fake: Fake) -> None:
    """abra's own words are the message, wherever it printed them."""
    with pytest.raises(
        AbraFailed, match="'abra app deploy -n' failed with exit code 1: app is broken"
    ):
        fake.abra("INFO hello\nFATA app is broken", 1).app_deploy("d")


def test_an_app_that_is_not_deployed_is_undeployed(fake: Fake) -> None:
    """In cleanup, "not deployed" is what was wanted."""
    fake.abra("FATA d is not deployed?", 1).app_undeploy("d")


def test_json_is_found_between_log_lines(fake: Fake) -> None:
    """Under a terminal log lines mix into the JSON."""
    says = 'INFO generating [x]\n[{"name": "db", "value": "s3cret-value"}]\nINFO done'
    made = fake.abra(says).app_secret_generate("d")
    assert made["db"].reveal() == "s3cret-value"


def test_nothing_left_to_generate_is_an_empty_answer(fake: Fake) -> None:
    """abra exits 1 when every secret exists."""
    assert (
        fake.abra("FATA no secrets generated, do they already exist?", 1).app_secret_generate("d")
        == {}
    )


def test_another_failure_of_generating_is_an_error(fake: Fake) -> None:
    """Only the known refusal is read as empty."""
    with pytest.raises(AbraFailed, match="too long"):
        fake.abra("FATA secret name too long", 1).app_secret_generate("d")


@pytest.mark.parametrize(
    "keys",
    [("name", "created-on-server"), ("NAME", "CREATED ON SERVER"), ("name", "created_on_server")],
)
def test_keys_are_read_in_every_spelling(fake: Fake, keys: tuple[str, str]) -> None:
    """Versions of abra spell the keys of their JSON differently."""
    says = f'[{{"{keys[0]}": "db", "version": "v1", "{keys[1]}": "true"}}]'
    (state,) = fake.abra(says).app_secret_ls("d")
    assert (state.name, state.version, state.created) == ("db", "v1", True)


def test_no_json_is_an_error_of_its_own(fake: Fake) -> None:
    """Silence is not an empty list."""
    with pytest.raises(AbraFailed, match="no JSON in the output"):
        fake.abra("INFO nothing here").app_secret_ls("d")


def test_output_that_may_hold_secrets_is_not_quoted(fake: Fake) -> None:
    """A failed secret command does not put its output into the message."""
    with pytest.raises(AbraFailed) as caught:
        fake.abra("FATA value hunter2hunter2", 1).app_secret_insert("d", "k", "v1", Path("/f"))
    assert "hunter2" not in str(caught.value)


def test_a_missing_abra_is_our_trouble(tmp_path: Path) -> None:
    """Without abra nothing can be tested; the message says how to name it."""
    with pytest.raises(InfraError, match="set CCCI_ABRA"):
        Abra("/nowhere/abra", tmp_path).version()


def test_an_abra_that_is_killed_is_our_trouble(tmp_path: Path) -> None:
    """The kernel ends programs when memory ends; that says nothing about a recipe."""
    program = tmp_path / "abra"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    abra = Abra(str(program), tmp_path)
    for call in (abra.app_deploy, abra.app_undeploy, abra.app_secret_generate, abra.recipe_lint):
        with pytest.raises(InfraError, match="killed by SIGKILL"):
            call("hello")


def test_lint_reads_the_severity_column() -> None:
    """Error-level rules that do not hold fail; warnings and skipped rules do not."""
    lint = parse_lint(TABLE)
    assert lint.failed == ("R009 one service app (name it app)",)
    assert lint.warned == ("R001 compose 3.8 (use 3.8)",)


def test_lint_of_a_clean_recipe_finds_nothing() -> None:
    """A table of ticks fails nothing."""
    assert parse_lint(TABLE.replace("❌", "✅")).failed == ()
