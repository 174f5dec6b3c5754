"""Starts runs of the product as processes, and reads what they leave: exit code, output, `report.json`.

Nothing of the harness is imported: a run is started as an operator starts it, in a process group of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import run_files
from contract.verdicts import INFRA_EXIT_CODE, Verdict
from sandbox.host import paths, settings
from sandbox.host.shell import SetupError

RUN_TIMEOUT = 900.0  # seconds for one run
JANITOR_TIMEOUT = 300.0  # seconds
GRACE = 5.0  # seconds between SIGTERM and SIGKILL of a run's process group
MAX_QUOTED = 2000  # characters of output in an error


class ProductError(SetupError):
    """The product could not be run, or left no report."""

    exit_code = INFRA_EXIT_CODE


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial needs of a run's `report.json`; times are seconds."""

    verdict: Verdict
    reason: str
    stage: str
    stages: Mapping[str, str]  # outcome by name
    failures: tuple[str, ...]  # message and details of each case that failed
    seconds: float
    phases: Mapping[str, float]

    @classmethod
    def read(cls, run_dir: Path) -> Report:
        """Read the report of a run directory.

        Raises:
            ProductError: the run left no report.
        """
        try:
            body = json.loads((run_dir / run_files.REPORT).read_text())
        except (OSError, ValueError) as error:
            raise ProductError(f"there is no report in '{run_dir}'") from error
        return cls(
            verdict=Verdict(body["verdict"]),
            reason=body["reason"],
            stage=body["stage"],
            stages={stage["name"]: stage["outcome"] for stage in body["stages"]},
            failures=tuple(_text(case) for case in body["cases"] if _failed(case)),
            seconds=body["seconds"],
            phases=body["phases"],
        )


def _failed(case: Mapping[str, Any]) -> bool:
    outcome = case["outcome"]
    return outcome in ("fail", "error") or (outcome == "unverified" and bool(case["fault"]))


def _text(case: Mapping[str, Any]) -> str:
    return f"{case['message']}\n{case['details']}"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command of the product that has exited."""

    exit_code: int
    output: str  # both streams


def run_dir(run_id: str) -> Path:
    """Return the directory of a run."""
    return settings.folder("CCCI_RUNS_DIR") / run_id


def head_of(recipe: str) -> str:
    """Return the commit of a sandbox recipe's pull request.

    Raises:
        ProductError: the set-up has not made the repository.
    """
    path = paths.RECIPES / f"{recipe}.head"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ProductError(f"'{path}' is missing; run `make setup`") from error


def run(
    recipe: str,
    run_id: str,
    *options: str,
    suites: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Finished:
    """Run pytest on the head of a sandbox recipe.

    Args:
        recipe: name of its repository.
        run_id: name of the run directory, see `run_dir`.
        options: further options of pytest.
        suites: folder of suites, this checkout's if None.
        environ: variables besides those of this process.

    Raises:
        ProductError: the run cannot be started, or timed out.
    """
    words = _pytest(recipe, suites, head_of(recipe))
    env = {**os.environ, **(environ or {}), "DRONE_BUILD_NUMBER": run_id}
    if suites is not None:
        env["CCCI_SUITES_DIR"] = str(suites)
    return _finish([*words, *options], env, RUN_TIMEOUT)


def run_in_terminal(recipe: str) -> int:
    """Run pytest on the head of a sandbox recipe with this terminal; return its exit code.

    It stays in our process group, so Ctrl-C reaches it as well.

    Raises:
        ProductError: it cannot be started, or timed out.
    """
    try:
        with subprocess.Popen(
            _pytest(recipe, None, head_of(recipe)), cwd=paths.CHECKOUT
        ) as process:
            try:
                return process.wait(RUN_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.terminate()
                raise ProductError(f"the run of {recipe} took over {RUN_TIMEOUT:.0f} s") from None
    except OSError as error:
        raise ProductError(f"cannot start pytest: {error.strerror}") from error


def cc_ci(*words: str, timeout: float = JANITOR_TIMEOUT) -> Finished:
    """Run a command of `cc-ci`.

    Raises:
        ProductError: it cannot be started, or timed out.
    """
    program = Path(sys.executable).with_name("cc-ci")
    return _finish([str(program), *words], dict(os.environ), timeout)


def _pytest(recipe: str, suites: Path | None, ref: str) -> list[str]:
    words = [sys.executable, "-m", "pytest"]
    if suites is None:
        words += ["recipes_tests"]
    else:
        words += ["-c", str(paths.CHECKOUT / "pytest.ini"), "--rootdir", str(paths.CHECKOUT)]
        words += ["-p", "harness.plugin", str(suites)]
    return [*words, "-p", "no:cacheprovider", "--recipe", recipe, "--ref", ref]


def _finish(words: Sequence[str], env: Mapping[str, str], timeout: float) -> Finished:
    """Run a command in its own process group until it exits or times out; the group is gone afterwards."""
    with tempfile.TemporaryFile() as out:  # not a pipe: a process left behind would hold it open
        try:
            process = subprocess.Popen(
                words,
                cwd=paths.CHECKOUT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        except OSError as error:
            raise ProductError(f"cannot start '{words[0]}': {error.strerror}") from error
        try:
            exit_code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProductError(f"'{' '.join(words[:6])}' timed out after {timeout:.0f} s") from None
        finally:
            _stop_group(process)
        out.seek(0)
        return Finished(exit_code, out.read().decode(errors="replace"))


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Stop what is left of a command's process group: SIGTERM, grace, SIGKILL."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
