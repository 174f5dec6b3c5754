"""Logs: stored ones, followed ones, and when a step counts as ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import FOLDER, like
from tests.support.poll import until

pytestmark = pytest.mark.contract

OWN_TEXT = ("message", "ref", "source", "target")
HELD = 'until [ -e "$GO" ]; do sleep 0.05; done'


def started(drone: Place, branch: str, *commands: str, go: Path) -> int:
    """Create a build whose step waits for a file; return its number once the step runs."""
    drone.push(branch, pipeline(branch, step("run", *commands)))
    number = drone.create(branch, GO=str(go))

    def runs() -> bool:
        steps = drone.build(number).get("stages", [{}])[0].get("steps", [])
        return len(steps) > 1 and steps[1]["status"] == "running"

    until("the step to run", runs, within=40)
    return number


def follow(
    drone: Place, number: int, user: str = "bridge", *, timeout: float = 60
) -> requests.Response:
    """Open the stream of a build's second step; timeout: seconds between two pieces."""
    path = f"/api/stream/ci/cc-ci/{number}/1/2"
    return drone.call("GET", path, user=user, stream=True, timeout=timeout)


def entries(text: str) -> list[dict[str, Any]]:
    """Return the log entries of a stream."""
    lines = [line for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_stored_log(drone: Place) -> None:
    """Entries have a position, a text and the seconds since the step began."""
    drone.push("log", pipeline("log", step("one", "true"), step("two", "echo a", "echo b >&2")))
    number = drone.create("log")
    drone.over(number)
    answer = drone.call("GET", f"{REPO}/builds/{number}/logs/1/3")
    like(answer, "logs", but=("out",))
    assert [line["pos"] for line in answer.json()] == list(range(len(answer.json())))
    assert "".join(line["out"] for line in answer.json()) == "+ echo a\na\n+ echo b >&2\nb\n"


def test_missing_logs(drone: Place) -> None:
    """A skipped step, an unknown step and an unknown stage have none."""
    drone.push("nolog", pipeline("nolog", step("one", "exit 3"), step("two", "true")))
    number = drone.create("nolog")
    drone.over(number)
    for at, place in enumerate(("1/3", "1/9", "7/1")):
        like(drone.call("GET", f"{REPO}/builds/{number}/logs/{place}"), "logs-missing", at)


def test_following_replays_what_was_before(drone: Place, tmp_path: Path) -> None:
    """A follower gets the earlier lines, the later ones, and an end; strangers may follow."""
    go = tmp_path / "go"
    number = started(drone, "follow", "echo one", HELD, "echo two", go=go)
    recorded = json.loads((FOLDER / "log-stream-sse.json").read_text())["exchanges"][0]
    with follow(drone, number, user="") as stream:
        told = recorded["response"]["headers"]
        same = ("Content-Type", "Cache-Control", "Expires", "Pragma", "X-Accel-Buffering")
        assert {k: stream.headers.get(k) for k in same} == {k: told[k] for k in same}
        got = b""
        for piece in stream.iter_content(None):
            got += piece
            if b"+ until" in got:
                go.touch()
    text = got.decode()
    assert text.startswith(recorded["response"]["chunks"][0]["data"])
    assert text.endswith(recorded["response"]["chunks"][-1]["data"])
    assert text.replace('": ', '":').replace(', "', ',"').count("\n\n\n") == len(entries(text))
    assert [set(entry) for entry in entries(text)] == [{"pos", "out", "time"}] * len(entries(text))
    said = "".join(entry["out"] for entry in entries(text))
    assert said.startswith("+ echo one\none\n")
    assert said.endswith("+ echo two\ntwo\n")
    drone.over(number)
    assert drone.log(number, 2) == said


def test_following_ends_with_a_cancel(drone: Place, tmp_path: Path) -> None:
    """The stream of a killed step ends like any other; a real one stays open about one time in three."""
    number = started(drone, "followkill", "echo one", HELD, go=tmp_path / "go")
    got = b""
    try:
        with follow(drone, number, timeout=5) as stream:
            for piece in stream.iter_content(None):
                if b"until" in piece and b"until" not in got:
                    drone.cancel(number)
                got += piece
        assert got.endswith(b"event: error\ndata: eof\n\n")
    except requests.ConnectionError:
        assert drone.real
        assert len(entries(got.decode())) in (3, 4)  # the fourth is empty
    (tmp_path / "go").touch()
    assert drone.over(number)["status"] == "killed"


def test_a_finished_step_has_nothing_to_follow(drone: Place) -> None:
    """A ping and the end come at once; unknown steps are 404."""
    drone.push("over", pipeline("over", step("run", "echo hi")))
    number = drone.create("over")
    drone.over(number)
    assert follow(drone, number).text == ": ping\n\nevent: error\ndata: eof\n\n"
    for place in (f"{number}/1/9", f"{number}/5/1", "9999/1/1"):
        assert drone.call("GET", f"/api/stream/ci/cc-ci/{place}").status_code == 404


def test_a_background_child_keeps_the_step_open(drone: Place, tmp_path: Path) -> None:
    """A step ends when nobody holds its output; a redirected child holds nothing."""
    go = tmp_path / "go"
    held = HELD.replace('"$GO"', str(go))
    late, apart = f"({held}; echo late) &", f"({held}) >/dev/null 2>&1 &"
    drone.push("bg", pipeline("bg", step("one", late, "echo done"), step("two", apart)))
    number = drone.create("bg")

    def steps() -> list[str]:
        found = drone.build(number).get("stages", [{}])[0].get("steps", [])
        return [one["status"] for one in found]

    until("the first step", lambda: steps()[1:] == ["running", "pending"], within=40)
    pings = follow(drone, number).iter_content(None)
    until("the last command", lambda: b"done" in next(pings))
    assert steps()[1:] == ["running", "pending"]
    go.touch()
    assert drone.over(number)["status"] == "success"
    like(drone.call("GET", f"{REPO}/builds/{number}"), "build-background-child", 1, but=OWN_TEXT)
    assert drone.log(number, 2).endswith("late\n")


def test_a_redirected_child_outlives_its_build(drone: Place, tmp_path: Path) -> None:
    """The build ends while the child goes on."""
    go = tmp_path / "go"
    apart = f'({HELD}; touch "$GO.seen") >/dev/null 2>&1 &'
    drone.push("apart", pipeline("apart", step("one", apart)))
    number = drone.create("apart", GO=str(go))
    assert drone.over(number)["status"] == "success"
    go.touch()
    until("the child", (tmp_path / "go.seen").exists)


def test_a_line_that_comes_in_two_reads_is_two_entries(drone: Place) -> None:
    """What the pipe delivers without a line's end is an entry of its own."""
    drone.push("cut", pipeline("cut", step("run", "printf ab; sleep 0.5; echo cd; sleep 0.5")))
    number = drone.create("cut")
    drone.over(number)
    answer = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2")
    outs = [line["out"] for line in answer.json() if line["out"]]
    assert outs[-2:] == ["ab", "cd\n"]


def test_only_the_last_five_megabytes_are_kept(drone: Place) -> None:
    """What is older is dropped, and positions go on counting from the true start."""
    line = "x" * 99
    write = f"yes {line} | head -n 60000; echo end"
    drone.push("big", pipeline("big", step("run", write)))
    number = drone.create("big")
    drone.over(number)
    found = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2").json()
    size = sum(len(entry["out"]) for entry in found)
    assert 5 * 1024 * 1024 - 100_000 < size <= 5 * 1024 * 1024
    assert found[0]["pos"] > 5000
    assert "end\n" in [entry["out"] for entry in found[-3:]]
