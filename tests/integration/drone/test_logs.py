"""Stored and streamed logs, and when a step counts as finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, FOLDER, assert_like_recording
from tests.support.poll import until

pytestmark = pytest.mark.contract

HELD = 'until [ -e "$GO" ]; do sleep 0.05; done'


def start_build(drone: DroneEnv, branch: str, *commands: str, go: Path) -> int:
    """Create a build whose step waits for a file; return its number once the step runs."""
    drone.push(branch, pipeline(branch, step("run", *commands)))
    number = drone.create(branch, GO=str(go))

    def runs() -> bool:
        steps = drone.build(number).get("stages", [{}])[0].get("steps", [])
        return len(steps) > 1 and steps[1]["status"] == "running"

    until("the step to run", runs, timeout=40)
    return number


def follow(
    drone: DroneEnv, number: int, user: str = "bridge", *, timeout: float = 60
) -> requests.Response:
    """Open the stream of a build's second step; `timeout` is seconds between two pieces."""
    path = f"/api/stream/ci/cc-ci/{number}/1/2"
    return drone.call("GET", path, user=user, stream=True, timeout=timeout)


def entries(text: str) -> list[dict[str, Any]]:
    """Return the log entries of a stream."""
    lines = [line for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_stored_log_has_position_text_and_seconds(drone: DroneEnv) -> None:
    drone.push("log", pipeline("log", step("one", "true"), step("two", "echo a", "echo b >&2")))
    number = drone.create("log")
    drone.finished(number)
    response = drone.call("GET", f"{REPO}/builds/{number}/logs/1/3")
    assert_like_recording(response, "logs", ignore=("out",))
    assert [line["pos"] for line in response.json()] == list(range(len(response.json())))
    assert "".join(line["out"] for line in response.json()) == "+ echo a\na\n+ echo b >&2\nb\n"


def test_skipped_and_unknown_steps_have_no_log(drone: DroneEnv) -> None:
    drone.push("nolog", pipeline("nolog", step("one", "exit 3"), step("two", "true")))
    number = drone.create("nolog")
    drone.finished(number)
    for at, path in enumerate(("1/3", "1/9", "7/1")):
        assert_like_recording(
            drone.call("GET", f"{REPO}/builds/{number}/logs/{path}"), "logs-missing", at
        )


def test_a_follower_gets_earlier_and_later_lines(drone: DroneEnv, tmp_path: Path) -> None:
    """It needs no token."""
    go = tmp_path / "go"
    number = start_build(drone, "follow", "echo one", HELD, "echo two", go=go)
    recorded = json.loads((FOLDER / "log-stream-sse.json").read_text())["exchanges"][0]
    with follow(drone, number, user="") as stream:
        headers = recorded["response"]["headers"]
        same = ("Content-Type", "Cache-Control", "Expires", "Pragma", "X-Accel-Buffering")
        assert {k: stream.headers.get(k) for k in same} == {k: headers[k] for k in same}
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
    text_of_entries = "".join(entry["out"] for entry in entries(text))
    assert text_of_entries.startswith("+ echo one\none\n")
    assert text_of_entries.endswith("+ echo two\ntwo\n")
    drone.finished(number)
    assert drone.log(number, 2) == text_of_entries


def test_the_stream_ends_with_a_cancel(drone: DroneEnv, tmp_path: Path) -> None:
    """A real Drone leaves it open about one time in three."""
    number = start_build(drone, "followkill", "echo one", HELD, go=tmp_path / "go")
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
    assert drone.finished(number)["status"] == "killed"


def test_the_stream_of_a_finished_step_ends_immediately(drone: DroneEnv) -> None:
    drone.push("over", pipeline("over", step("run", "echo hi")))
    number = drone.create("over")
    drone.finished(number)
    assert follow(drone, number).text == ": ping\n\nevent: error\ndata: eof\n\n"
    for path in (f"{number}/1/9", f"{number}/5/1", "9999/1/1"):
        assert drone.call("GET", f"/api/stream/ci/cc-ci/{path}").status_code == 404


def test_a_background_child_keeps_the_step_running(drone: DroneEnv, tmp_path: Path) -> None:
    """A step finishes when no process holds its output pipe; a redirected child does not."""
    go = tmp_path / "go"
    held = HELD.replace('"$GO"', str(go))
    late, apart = f"({held}; echo late) &", f"({held}) >/dev/null 2>&1 &"
    drone.push("bg", pipeline("bg", step("one", late, "echo done"), step("two", apart)))
    number = drone.create("bg")

    def steps() -> list[str]:
        found = drone.build(number).get("stages", [{}])[0].get("steps", [])
        return [one["status"] for one in found]

    until("the first step", lambda: steps()[1:] == ["running", "pending"], timeout=40)
    pings = follow(drone, number).iter_content(None)
    until("the last command", lambda: b"done" in next(pings))
    assert steps()[1:] == ["running", "pending"]
    go.touch()
    assert drone.finished(number)["status"] == "success"
    assert_like_recording(
        drone.build_response(number),
        "build-background-child",
        1,
        ignore=COMMIT_KEYS,
    )
    assert drone.log(number, 2).endswith("late\n")


def test_a_child_with_redirected_output_outlives_its_build(drone: DroneEnv, tmp_path: Path) -> None:
    go = tmp_path / "go"
    apart = f'({HELD}; touch "$GO.seen") >/dev/null 2>&1 &'
    drone.push("apart", pipeline("apart", step("one", apart)))
    number = drone.create("apart", GO=str(go))
    assert drone.finished(number)["status"] == "success"
    go.touch()
    until("the child", (tmp_path / "go.seen").exists)


def test_a_line_that_arrives_in_two_reads_is_two_entries(drone: DroneEnv) -> None:
    drone.push("cut", pipeline("cut", step("run", "printf ab; sleep 0.5; echo cd; sleep 0.5")))
    number = drone.create("cut")
    drone.finished(number)
    response = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2")
    outs = [line["out"] for line in response.json() if line["out"]]
    assert outs[-2:] == ["ab", "cd\n"]


def test_only_the_last_five_megabytes_are_kept(drone: DroneEnv) -> None:
    """Positions still count from the first entry."""
    line = "x" * 99
    write = f"yes {line} | head -n 60000; echo end"
    drone.push("big", pipeline("big", step("run", write)))
    number = drone.create("big")
    drone.finished(number)
    found = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2").json()
    size = sum(len(entry["out"]) for entry in found)
    assert 5 * 1024 * 1024 - 100_000 < size <= 5 * 1024 * 1024
    assert found[0]["pos"] > 5000
    assert "end\n" in [entry["out"] for entry in found[-3:]]
