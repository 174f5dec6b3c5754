"""Cancellation and shutdown: each way to stop a run goes through a complete teardown, in time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Unpack

import pytest

from harness.host import wait
from harness.settings import CHECKOUT
from tests.faults.conftest import Start
from tests.faults.fault_env import CLEANUP_BOUND, FaultEnv, HeldRun, ProcessOptions
from tests.faults.held_run import (
    check_report,
    held_run,
    only_the_volume_is_left,
    volume_in_use,
)
from tests.support.figures import Part, Trial, trial

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.SHUTDOWN
XDIST_KILL_DELAY = 10.0  # seconds; then xdist kills a worker that does not shut down
RECORDINGS = CHECKOUT / "tests" / "data" / "drone"

workers = pytest.mark.parametrize("workers", [False, True], ids=["alone", "with-workers"])


def trial_name(text: str, workers: bool) -> str:
    """Return the name of a trial."""
    return f"{text}, with -n 2" if workers else text


@dataclass(frozen=True)
class Shutdown:
    """A run that is held in its deployment and then stopped, and the trial of it."""

    run: HeldRun
    result: Trial

    def exits_with(self, code: int) -> None:
        """Require that the run exits by itself with this code, and measure the time."""
        with self.result.timed():
            assert self.run.wait() == code, self.run.out


@contextmanager
def shutdown(
    fault_env: FaultEnv,
    start: Start,
    what: str,
    verdict: str,
    *,
    workers: bool,
    incidents: tuple[str, ...] = (),
    **process: Unpack[ProcessOptions],
) -> Iterator[Shutdown]:
    """Hold a run for a block that stops it; require that nothing is left, in time, and the verdict."""
    with trial(PART, trial_name(what, workers), incidents=incidents, bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, "deploy", workers=workers, **process) as run:
            yield Shutdown(run, result)
        result.none_lost(run.leftovers())
        result.in_time()
        check_report(run, verdict, "deploy")


@workers
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP], ids=lambda sign: sign.name)
def test_a_signal_tears_down(
    fault_env: FaultEnv, start: Start, sign: signal.Signals, workers: bool
) -> None:
    with shutdown(fault_env, start, sign.name, "interrupted", workers=workers) as stopped:
        os.kill(stopped.run.process.pid, sign)
        stopped.exits_with(2)


@workers
def test_ctrl_c_tears_down(fault_env: FaultEnv, start: Start, workers: bool) -> None:
    """It reaches the whole foreground group of a terminal, workers too."""
    what = "Ctrl-C at a terminal"
    with shutdown(fault_env, start, what, "interrupted", workers=workers, terminal=True) as stopped:
        stopped.run.press(b"\x03")
        stopped.exits_with(2)


@workers
def test_a_closed_terminal_tears_down(fault_env: FaultEnv, start: Start, workers: bool) -> None:
    """Nothing can be printed any more."""
    what = "closed terminal"
    with shutdown(fault_env, start, what, "interrupted", workers=workers, terminal=True) as stopped:
        stopped.run.hang_up()
        stopped.exits_with(2)


@workers
def test_the_runs_own_deadline_tears_down(fault_env: FaultEnv, start: Start, workers: bool) -> None:
    """A run that hangs stops before Drone's timeout: exit code 1, verdict timeout, not the PR's fault."""
    seconds, start_time = 12.0, time.monotonic()
    env = {
        "CCCI_DEADLINE": str(seconds),
        "CCCI_SLOTS_DIR": str(fault_env.folder / "slots"),
    }
    what = "the run's own deadline"
    with shutdown(fault_env, start, what, "timeout", workers=workers, env=env) as stopped:
        assert stopped.run.wait() == 1, stopped.run.out
        stopped.result.seconds.append(round(max(0.0, time.monotonic() - start_time - seconds), 2))


@workers
def test_a_lost_cancel_is_noticed_by_polling(
    fault_env: FaultEnv, start: Start, workers: bool
) -> None:
    """The cancel never reaches Drone's runner; the harness asks Drone for the status of its build."""
    with (
        drone() as server,
        shutdown(
            fault_env, start, "lost cancel", "cancelled", workers=workers, env=server.environment
        ) as stopped,
    ):
        server.killed = True
        stopped.exits_with(2)


class Server(ThreadingHTTPServer):
    """Serves one build as Drone was recorded: running, then killed."""

    killed = False

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that Drone sets in a step."""
        return {
            "DRONE_SYSTEM_PROTO": "http",
            "DRONE_SYSTEM_HOST": f"127.0.0.1:{self.server_port}",
            "DRONE_REPO": "ci/cc-ci",
            "DRONE_BUILD_NUMBER": "63",
        }


def recorded(file: str, status: str) -> bytes:
    """Return the recorded body of a build with a status."""
    bodies = [
        e["response"]["body"] for e in json.loads((RECORDINGS / file).read_text())["exchanges"]
    ]
    found = next(b for b in bodies if isinstance(b, dict) and b.get("status") == status)
    return json.dumps(found).encode()


@contextmanager
def drone() -> Iterator[Server]:
    """Serve a build that is running until `killed` is set."""
    answers = {
        False: recorded("build-running.json", "running"),
        True: recorded("build-cancel-orphaned.json", "killed"),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers[server.killed]
            known = self.path == "/api/repos/ci/cc-ci/builds/63"
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@workers
def test_incident_c5_teardown_works_without_workspace_and_output(
    fault_env: FaultEnv, start: Start, tmp_path: Path, workers: bool
) -> None:
    """C5: Drone's cancel also deletes the workspace with the harness's code, and closes the output."""
    code = tmp_path / "workspace"
    code.mkdir()
    for part in ("contract", "harness", "conftest.py", "pytest.ini"):
        source = CHECKOUT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, code / part)
    env = {"CCCI_SETTINGS": str(CHECKOUT / ".bench" / "settings.env")}
    what = "Drone's cancel: shell killed, workspace deleted, output closed"
    with shutdown(
        fault_env,
        start,
        what,
        "cancelled",
        workers=workers,
        incidents=("C5",),
        code=code,
        env=env,
        shell=True,
        piped=True,
    ) as stopped:
        os.kill(stopped.run.process.pid, signal.SIGKILL)
        shutil.rmtree(code)
        stopped.run.hang_up()
        with stopped.result.timed():
            stopped.run.wait_until_gone()


@workers
def test_more_signals_during_the_teardown_are_ignored(
    fault_env: FaultEnv, start: Start, workers: bool
) -> None:
    """The teardown takes longer than xdist waits for a worker."""
    with trial(
        PART, trial_name("more signals during the teardown", workers), bound=CLEANUP_BOUND
    ) as result:
        with held_run(fault_env, start, "seed", workers=workers) as run, volume_in_use(run):
            os.kill(run.process.pid, signal.SIGTERM)
            wait.until(
                lambda: wait.Look("", only_the_volume_is_left(run) or None),
                what="the teardown",
                timeout=CLEANUP_BOUND,
            )
            for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                for pid in (run.process.pid, run.worker_pid()):
                    os.kill(pid, sign)
            keeps_running(run, XDIST_KILL_DELAY + 2)
            assert run.leftovers() != []
        with result.timed():
            assert run.wait() == 2, run.out
        result.none_lost(run.leftovers())
        result.in_time()
        check_report(run, "interrupted", "seed")


def keeps_running(run: HeldRun, seconds: float) -> None:
    """Require that a run does not exit for some seconds."""
    end = time.monotonic() + seconds
    run.until(lambda: time.monotonic() > end, f"{seconds:.0f} s of teardown")
