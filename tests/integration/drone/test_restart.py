"""What survives a restart, and what a killed runner leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.drone.conftest import StartStandIn
from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, assert_like_recording
from tests.integration.drone.standin_env import ROOT
from tests.support.poll import is_alive, read_number, until

pytestmark = pytest.mark.contract

CHILD = 'sh -c \'echo $$$$ > "$TEST_DIR/child"; until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done\''


def start_build(drone: DroneEnv, branch: str, folder: Path) -> int:
    """Create a build, wait for the child of its step, and return the number of the build."""
    number = drone.create(branch, TEST_DIR=str(folder))
    until("the step's child", lambda: read_number(folder / "child"), timeout=40)
    return number


def test_a_restart_keeps_builds_and_logs(drone: DroneEnv) -> None:
    """Build numbers continue."""
    drone.push("keep", pipeline("keep", step("run", "echo kept")))
    number = drone.create("keep", A="1")
    before, log = drone.finished(number), drone.log(number, 2)
    drone.restart()
    assert drone.build(number) == before
    assert drone.log(number, 2) == log
    assert drone.create("keep") == number + 1
    drone.finished(number + 1)


def test_an_orphaned_build_blocks_the_limit_until_it_is_cancelled(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """After a SIGKILL of the runner its build never leaves the status `running`."""
    extra = "concurrency: {limit: 1}\n"
    yml = pipeline("orphan", step("run", CHILD), extra=extra)
    drone.push("orphan", yml)
    orphan = start_build(drone, "orphan", tmp_path)
    leftover_pids.append(read_number(tmp_path / "child"))
    drone.crash_runner()
    assert is_alive(leftover_pids[0])
    assert drone.build(orphan)["status"] == "running"
    (tmp_path / "go").touch()
    until("the orphan's child to exit", lambda: not is_alive(leftover_pids[0]))
    waiting = drone.create("orphan", TEST_DIR=str(tmp_path))
    assert drone.build(orphan)["status"] == "running"
    assert drone.build(waiting)["status"] == "pending"
    response = drone.cancel(orphan)
    assert_like_recording(response, "build-cancel-orphaned", ignore=(*COMMIT_KEYS, "limit"))
    assert response.json()["stages"][0]["steps"][1]["exit_code"] == 130
    assert drone.finished(waiting, timeout=90)["status"] == "success"


def test_pending_builds_survive_a_restart(start_standin: StartStandIn) -> None:
    drone = start_standin(pickup_delay=60)
    drone.push("wait", pipeline("wait", step("run", "true")))
    number = drone.create("wait")
    drone.settings["pickup_delay"] = 0
    drone.crash_runner()
    assert drone.finished(number)["status"] == "success"


def test_the_first_sigterm_drains(
    start_standin: StartStandIn, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """Running steps finish and are reported, new builds stay pending, then the process exits."""
    drone = start_standin()
    drone.push("drain", pipeline("cancel", step("run", CHILD)))
    number = start_build(drone, "drain", tmp_path)
    leftover_pids.append(read_number(tmp_path / "child"))
    drone.signal(signal.SIGTERM)
    later = drone.create("drain", TEST_DIR=str(tmp_path))
    assert is_alive(leftover_pids[0])
    assert_like_recording(
        drone.build_response(number),
        "build-after-runner-sigterm",
        ignore=COMMIT_KEYS,
    )
    (tmp_path / "go").touch()
    assert drone.exit_code() == 0
    drone.start()
    assert drone.build(number)["status"] == "success"
    assert drone.finished(later)["status"] == "success"


def test_a_second_sigterm_kills_the_process_immediately(
    start_standin: StartStandIn, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """Children of the step get no signal; the build is orphaned."""
    drone = start_standin()
    drone.push("hard", pipeline("cancel", step("run", CHILD)))
    number = start_build(drone, "hard", tmp_path)
    leftover_pids.append(read_number(tmp_path / "child"))
    drone.signal(signal.SIGTERM)
    until("the drain to begin", lambda: _is_draining(drone.pid))
    drone.signal(signal.SIGTERM)
    assert drone.exit_code() == -signal.SIGTERM
    assert is_alive(leftover_pids[0])
    drone.start()
    assert drone.build(number)["status"] == "running"


def _is_draining(pid: int) -> bool:
    """Return True if a process no longer catches SIGTERM."""
    text = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in text.splitlines() if line.startswith("SigCgt")).split()[1]
    return not int(caught, 16) >> (signal.SIGTERM - 1) & 1


def test_without_a_forge_a_new_build_is_404_but_a_restart_works(
    start_standin: StartStandIn,
) -> None:
    drone = start_standin()
    drone.push("away", pipeline("away", step("run", "true")))
    number = drone.create("away")
    drone.finished(number)
    Path(drone.remote).rename(f"{drone.remote}.away")
    response = drone.call("POST", f"{REPO}/builds?branch=away")
    assert response.status_code == 404
    assert response.json()["message"] != "Not Found"
    assert drone.call("POST", f"{REPO}/builds/{number}").status_code == 200


def test_port_in_use_gives_a_clear_error(start_standin: StartStandIn) -> None:
    drone = start_standin()
    line = [sys.executable, "-m", "sandbox.standins.drone", "serve", "--config"]
    done = subprocess.run(
        [*line, str(drone.folder / "config.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"drone stand-in: cannot serve on port {drone.settings['port']}")
