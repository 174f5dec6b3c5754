"""Every way to end a run early: the teardown comes to its end, in time, and nothing breaks it."""

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
from typing import Any

import pytest

from harness.host import wait
from harness.settings import CHECKOUT
from tests.faults.conftest import Start
from tests.faults.fault_env import CLEANUP_BOUND, FaultEnv, HeldRun
from tests.faults.held_stages import check_report, held, only_its_volume_is_left, volume_in_use
from tests.support.figures import Part, Trial, trial

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.SHUTDOWN
PATIENCE = 10.0  # seconds after which xdist kills a worker that its session no longer waits for
RECORDED = CHECKOUT / "tests" / "data" / "drone"

workers = pytest.mark.parametrize("workers", [False, True], ids=["alone", "with-workers"])


def name(text: str, workers: bool) -> str:
    """Return the name of a trial."""
    return f"{text}, with -n 2" if workers else text


@dataclass(frozen=True)
class Ending:
    """A run that is held in its deployment, and the trial of how the block ends it."""

    run: HeldRun
    tried: Trial

    def ends(self, status: int) -> None:
        """Require that the run ends by itself with a status, and take the time."""
        with self.tried.timed():
            assert self.run.end() == status, self.run.out


@contextmanager
def ending(
    place: FaultEnv,
    start: Start,
    what: str,
    verdict: str,
    *,
    workers: bool,
    incidents: tuple[str, ...] = (),
    **options: object,
) -> Iterator[Ending]:
    """Try one way to end a run; require that nothing of it is left, in time, and that it is told."""
    with trial(PART, name(what, workers), incidents=incidents, bound=CLEANUP_BOUND) as tried:
        with held(place, start, "deploy", workers=workers, **options) as run:
            yield Ending(run, tried)
        tried.none_lost(run.left())
        tried.in_time()
        check_report(run, verdict, "deploy")


@workers
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP], ids=lambda sign: sign.name)
def test_a_signal_tears_down(
    place: FaultEnv, start: Start, sign: signal.Signals, workers: bool
) -> None:
    """Status 2, verdict interrupted, nothing left."""
    with ending(place, start, sign.name, "interrupted", workers=workers) as made:
        os.kill(made.run.process.pid, sign)
        made.ends(2)


@workers
def test_ctrl_c_tears_down(place: FaultEnv, start: Start, workers: bool) -> None:
    """Ctrl-C reaches the whole foreground group of a terminal, workers too."""
    what = "Ctrl-C at a terminal"
    with ending(place, start, what, "interrupted", workers=workers, terminal=True) as made:
        made.run.press(b"\x03")
        made.ends(2)


@workers
def test_a_closed_terminal_tears_down(place: FaultEnv, start: Start, workers: bool) -> None:
    """Whoever closes the window gets the same as with Ctrl-C, although nothing can be printed any more."""
    what = "closed terminal"
    with ending(place, start, what, "interrupted", workers=workers, terminal=True) as made:
        made.run.hang_up()
        made.ends(2)


@workers
def test_the_run_s_own_deadline_tears_down(place: FaultEnv, start: Start, workers: bool) -> None:
    """A run that hangs ends by itself, before Drone would: status 1, verdict timeout, no fault of the PR."""
    seconds, begun = 12.0, time.monotonic()
    own: dict[str, Any] = {
        "CCCI_DEADLINE": str(seconds),
        "CCCI_SLOTS_DIR": str(place.folder / "slots"),
    }
    what = "the run's own deadline"
    with ending(place, start, what, "timeout", workers=workers, **own) as made:
        assert made.run.end() == 1, made.run.out
        made.tried.seconds.append(round(max(0.0, time.monotonic() - begun - seconds), 2))


@workers
def test_a_lost_cancel_is_found_by_asking(place: FaultEnv, start: Start, workers: bool) -> None:
    """The cancel that never reached the runner: Drone's own word about the build ends the run."""
    with (
        drone() as server,
        ending(
            place, start, "lost cancel", "cancelled", workers=workers, **server.environment
        ) as made,
    ):
        server.killed = True
        made.ends(2)


class Server(ThreadingHTTPServer):
    """Answers for one build as Drone was recorded to: running, then killed."""

    killed = False

    @property
    def environment(self) -> dict[str, Any]:
        """What Drone puts into a step's environment."""
        return {
            "DRONE_SYSTEM_PROTO": "http",
            "DRONE_SYSTEM_HOST": f"127.0.0.1:{self.server_port}",
            "DRONE_REPO": "ci/cc-ci",
            "DRONE_BUILD_NUMBER": "63",
        }


def recorded(file: str, status: str) -> bytes:
    """Return the recorded body of a build in a state."""
    bodies = [e["response"]["body"] for e in json.loads((RECORDED / file).read_text())["exchanges"]]
    found = next(b for b in bodies if isinstance(b, dict) and b.get("status") == status)
    return json.dumps(found).encode()


@contextmanager
def drone() -> Iterator[Server]:
    """Serve a build that is running until it is said to be killed."""
    answers = {
        False: recorded("build-running.json", "running"),
        True: recorded("build-cancel-orphaned.json", "killed"),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers[self.server.killed]  # type: ignore[attr-defined]
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
def test_a_cancelled_step_loses_its_workspace_too(
    place: FaultEnv, start: Start, tmp_path: Path, workers: bool
) -> None:
    """Drone deletes the workspace with the harness's own code in it, and nobody reads the output any more."""
    code = tmp_path / "workspace"
    code.mkdir()
    for part in ("harness", "conftest.py", "pytest.ini"):
        source = CHECKOUT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, code / part)
    options: dict[str, Any] = {
        "code": code,
        "CCCI_SETTINGS": str(CHECKOUT / ".bench" / "settings.env"),
    }
    what = "Drone's cancel: shell killed, workspace deleted, output closed"
    options |= {"incidents": ("C5",), "shell": True, "piped": True}
    with ending(place, start, what, "cancelled", workers=workers, **options) as made:
        os.kill(made.run.process.pid, signal.SIGKILL)
        shutil.rmtree(code)
        made.run.hang_up()
        with made.tried.timed():
            made.run.gone()


@workers
def test_more_signals_during_the_teardown_break_nothing(
    place: FaultEnv, start: Start, workers: bool
) -> None:
    """A second, a third and a fourth signal, in a teardown longer than xdist would wait for."""
    with trial(
        PART, name("more signals during the teardown", workers), bound=CLEANUP_BOUND
    ) as tried:
        with held(place, start, "seed", workers=workers) as run, volume_in_use(run):
            os.kill(run.process.pid, signal.SIGTERM)
            wait.until(
                lambda: wait.Look("", only_its_volume_is_left(run) or None),
                what="the teardown",
                timeout=CLEANUP_BOUND,
            )
            for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                for pid in (run.process.pid, run.worker()):
                    os.kill(pid, sign)
            hold_up(run, PATIENCE + 2)
            assert run.left() != []
        with tried.timed():
            assert run.end() == 2, run.out
        tried.none_lost(run.left())
        tried.in_time()
        check_report(run, "interrupted", "seed")


def hold_up(run: HeldRun, seconds: float) -> None:
    """Require that a run goes on with its teardown for some seconds."""
    until = time.monotonic() + seconds
    run.until(lambda: time.monotonic() > until, "its teardown should have ended")
