"""The product as a process: exit code and output, time limit, processes left behind, and its report."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from harness.reporting import run_dir
from sandbox.host.paths import CHECKOUT
from sandbox.trials import product
from sandbox.trials.product import ProductError, Report
from tests.support.poll import is_alive, until


def test_exit_code_and_both_streams_are_returned() -> None:
    done = product._finish(["sh", "-c", "echo out; echo err >&2; exit 3"], os.environ, 10)
    assert (done.exit_code, done.output) == (3, "out\nerr\n")


def test_a_run_that_times_out_is_stopped_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(ProductError, match=r"timed out after 0 s"):
        product._finish(["sh", "-c", script], os.environ, 0.3)
    until("the child's end", lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_a_process_left_behind_is_killed_and_does_not_delay(tmp_path: Path) -> None:
    """It still has the output open."""
    done = product._finish(["sh", "-c", "sleep 60 & echo $!"], os.environ, 10)
    until("the child's end", lambda: not is_alive(int(done.output)))


def test_a_program_that_is_missing_is_an_error() -> None:
    with pytest.raises(ProductError, match="cannot start '/no/such'"):
        product._finish(["/no/such"], os.environ, 10)


def test_the_report_of_a_run_is_read_from_its_json(tmp_path: Path) -> None:
    """The harness writes it; the trials know its keys."""
    shutil.copy(CHECKOUT / "tests/data/events/red-install.jsonl", tmp_path / "events.jsonl")
    made = run_dir.write_all(tmp_path)
    read = Report.read(tmp_path)
    assert read.verdict == made.verdict == "recipe"
    assert (read.reason, read.stage, read.seconds) == (made.reason, made.stage, made.seconds)
    assert read.stages == {stage.name: stage.outcome for stage in made.stages}
    assert read.failures == tuple(f"{case.message}\n{case.details}" for case in made.failed)
    assert dict(read.phases) == dict(made.phases)


def test_a_run_without_a_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="there is no report in"):
        Report.read(tmp_path)


def test_the_commands_are_those_of_this_checkout() -> None:
    done = product.cc_ci("--help")
    assert done.exit_code == 0 and "janitor" in done.output
    words = product._pytest("x", None, "0123")
    assert words[:4] == [sys.executable, "-m", "pytest", "recipes_tests"]
