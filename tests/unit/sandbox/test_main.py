"""`python -m sandbox`: its commands, and the exit codes of wrong usage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import __main__ as cli
from sandbox.host.paths import CHECKOUT
from sandbox.host.shell import SetupError

RUNNER = CliRunner()


@pytest.mark.parametrize("words", [["nonsense"], ["zoo", "nonsense"], ["bench", "/no/such/file"]])
def test_wrong_usage_exits_with_4(words: list[str]) -> None:
    assert RUNNER.invoke(cli.main, words).exit_code == 4


def test_an_error_of_the_set_up_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise SetupError("no network")

    monkeypatch.setattr("sandbox.host.test_bed.up", fails)
    done = RUNNER.invoke(cli.main, ["up"])
    assert (done.exit_code, done.stderr) == (1, "sandbox: no network\n")


def test_options_reach_the_trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("sandbox.trials.soak.soak", lambda *args: calls.append(args))
    monkeypatch.setattr("sandbox.trials.zoo.run_all", lambda *args: calls.append(args))
    RUNNER.invoke(cli.main, ["soak", "--count", "3", "--file", str(tmp_path / "x.jsonl")])
    RUNNER.invoke(cli.main, ["zoo", "crash-loop", "rollback"])
    assert calls == [(3, tmp_path / "x.jsonl"), (("crash-loop", "rollback"),)]


def test_the_benchmark_uses_an_earlier_baseline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "baseline.json"
    file.write_text('{"whole": 27.5}')
    monkeypatch.setattr("sandbox.trials.bench.bench", lambda seconds: [f"{seconds} s"])
    assert RUNNER.invoke(cli.main, ["bench", str(file)]).output == "27.5 s\n"


def test_the_makefile_calls_commands_that_exist() -> None:
    called = re.findall(r"python -m sandbox ([a-z-]+)", (CHECKOUT / "Makefile").read_text())
    assert set(called) <= set(cli.main.commands) and called
