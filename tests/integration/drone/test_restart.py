"""What outlives a restart, and what a runner that dies leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.drone.conftest import MakeStandIn
from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import like
from tests.integration.drone.standin_env import ROOT
from tests.support.poll import living, number_in, until

pytestmark = pytest.mark.contract

OWN_TEXT = ("message", "ref", "source", "target")
CHILD = 'sh -c \'echo $$$$ > "$PLACE/child"; until [ -e "$PLACE/go" ]; do sleep 0.05; done\''


def begun(drone: Place, branch: str, place: Path) -> int:
    """Create a build, wait for its step's child and return the build's number."""
    number = drone.create(branch, PLACE=str(place))
    until("the step's child", lambda: number_in(place / "child"), within=40)
    return number


def test_a_restart_keeps_builds_and_logs(drone: Place) -> None:
    """Finished builds and their logs are there afterwards, and numbers go on."""
    drone.push("keep", pipeline("keep", step("run", "echo kept")))
    number = drone.create("keep", A="1")
    before, log = drone.over(number), drone.log(number, 2)
    drone.restart()
    assert drone.build(number) == before
    assert drone.log(number, 2) == log
    assert drone.create("keep") == number + 1
    drone.over(number + 1)


def test_an_orphan_blocks_the_limit_until_it_is_cancelled(
    drone: Place, tmp_path: Path, left: list[int]
) -> None:
    """After SIGKILL of the runner its build runs for good; DELETE ends it and lets others in."""
    extra = "concurrency: {limit: 1}\n"
    yml = pipeline("orphan", step("run", CHILD), extra=extra)
    drone.push("orphan", yml)
    orphan = begun(drone, "orphan", tmp_path)
    left.append(number_in(tmp_path / "child"))
    drone.crash_runner()
    assert living(left[0])
    assert drone.build(orphan)["status"] == "running"
    (tmp_path / "go").touch()
    until("the orphan's child to end", lambda: not living(left[0]))
    waiting = drone.create("orphan", PLACE=str(tmp_path))
    assert drone.build(orphan)["status"] == "running"
    assert drone.build(waiting)["status"] == "pending"
    answer = drone.cancel(orphan)
    like(answer, "build-cancel-orphaned", but=(*OWN_TEXT, "limit"))
    assert answer.json()["stages"][0]["steps"][1]["exit_code"] == 130
    assert drone.over(waiting, within=90)["status"] == "success"


def test_pending_builds_survive(make: MakeStandIn) -> None:
    """What nobody had taken is taken after the restart."""
    drone = make(pickup_delay=60)
    drone.push("wait", pipeline("wait", step("run", "true")))
    number = drone.create("wait")
    drone.settings["pickup_delay"] = 0
    drone.crash_runner()
    assert drone.over(number)["status"] == "success"


def test_a_first_sigterm_drains(make: MakeStandIn, tmp_path: Path, left: list[int]) -> None:
    """Running steps end and are reported, new builds stay pending, then the process ends."""
    drone = make()
    drone.push("drain", pipeline("cancel", step("run", CHILD)))
    number = begun(drone, "drain", tmp_path)
    left.append(number_in(tmp_path / "child"))
    drone.signal(signal.SIGTERM)
    later = drone.create("drain", PLACE=str(tmp_path))
    assert living(left[0])
    like(drone.call("GET", f"{REPO}/builds/{number}"), "build-after-runner-sigterm", but=OWN_TEXT)
    (tmp_path / "go").touch()
    assert drone.ended() == 0
    drone.start()
    assert drone.build(number)["status"] == "success"
    assert drone.over(later)["status"] == "success"


def test_a_second_sigterm_ends_it_at_once(
    make: MakeStandIn, tmp_path: Path, left: list[int]
) -> None:
    """The step's processes get no signal; the build is an orphan."""
    drone = make()
    drone.push("hard", pipeline("cancel", step("run", CHILD)))
    number = begun(drone, "hard", tmp_path)
    left.append(number_in(tmp_path / "child"))
    drone.signal(signal.SIGTERM)
    until("the drain to begin", lambda: _drains(drone.pid))
    drone.signal(signal.SIGTERM)
    assert drone.ended() == -signal.SIGTERM
    assert living(left[0])
    drone.start()
    assert drone.build(number)["status"] == "running"


def _drains(pid: int) -> bool:
    """Say whether a process no longer catches SIGTERM."""
    text = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in text.splitlines() if line.startswith("SigCgt")).split()[1]
    return not int(caught, 16) >> (signal.SIGTERM - 1) & 1


def test_a_forge_that_does_not_answer(make: MakeStandIn) -> None:
    """A new build is a 404 as for an unknown commit; a restart needs no forge."""
    drone = make()
    drone.push("away", pipeline("away", step("run", "true")))
    number = drone.create("away")
    drone.over(number)
    Path(drone.remote).rename(f"{drone.remote}.away")
    answer = drone.call("POST", f"{REPO}/builds?branch=away")
    assert answer.status_code == 404
    assert answer.json()["message"] != "Not Found"
    assert drone.call("POST", f"{REPO}/builds/{number}").status_code == 200


def test_a_port_in_use_is_a_sentence(make: MakeStandIn) -> None:
    """A second process on the same port ends with status 2 and says why."""
    drone = make()
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
