"""The full stack: a comment at a real Gitea, a run on the real Swarm, the result on the pull request.

This is `make sandbox` in a folder and on ports of its own. It tests the last commit of the checkout, because
Drone clones it.
"""

from __future__ import annotations

import random
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.ci.full_stack import FullStack
from sandbox.forge import pull_requests
from sandbox.forge.pull_requests import BOT, GOOD, MEMBER, RED, PullRequest
from sandbox.host.shell import SetupError
from tests.support.poll import until

pytestmark = [pytest.mark.forge, pytest.mark.swarm]
STAGES = ("lint", "install", "functional", "redeploy", "backup", "restore", "upgrade", "cleanup")
TIMEOUT = 600.0  # seconds; other runs may hold the machine's slots
ACKNOWLEDGED = 8.0  # seconds; polling alone would take ten, users get it in less than three


def four_free_ports() -> int:
    """Return the first of four ports in a row that nobody listens on."""
    while True:
        first = random.randrange(20_000, 30_000)
        try:
            with socket.socket() as a, socket.socket() as b, socket.socket() as c:
                for offset, probe in enumerate((a, b, c)):
                    probe.bind(("127.0.0.1", first + offset))
                with socket.socket() as d:
                    d.bind(("127.0.0.1", first + 3))
            return first
        except OSError:
            continue


@pytest.fixture(scope="module")
def stack() -> Iterator[FullStack]:
    """Yield a stack with one good and one broken pull request; afterwards nothing of it remains."""
    folder = Path(tempfile.mkdtemp(prefix="ccci-stack-"))
    made = FullStack(folder, four_free_ports(), tied=True)
    try:
        made.up((GOOD, RED))
        yield made
    finally:
        daemons = (made.forge.daemon, made.bridge.daemon, made.drone.daemon, made.drone.worker)
        made.down()
        shutil.rmtree(folder, ignore_errors=True)
    assert [daemon.name for daemon in daemons if daemon.pid() or daemon.descendants()] == []


class Conversation:
    """One pull request on which a member comments `!testme`."""

    def __init__(self, stack: FullStack, pull_request: PullRequest) -> None:
        self.forge, self.repo = stack.forge, pull_request.repo
        number = pull_requests.number(stack.forge, pull_request)
        assert number is not None
        self.number = number
        path = f"/repos/{self.repo}/pulls/{number}"
        self.sha = str(self.forge.call("GET", path)["head"]["sha"])
        self.comment = self.forge.comment(self.repo, number, "!testme", user=MEMBER)

    def until(self, holds: Callable[[], Any], what: str, seconds: float = TIMEOUT) -> Any:
        """Wait until a condition is true; return its value."""
        try:
            return until(what, holds, timeout=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.status()}\n{self.answer()}") from None

    def status(self) -> tuple[str, str]:
        """Return state and description of the commit status."""
        return self.forge.statuses(self.repo, self.sha).get("cc-ci/testme", ("", ""))

    def answer(self) -> str:
        """Return the bot's comment."""
        found = self.forge.comments(self.repo, self.number)
        return next((row["body"] for row in found if row["user"]["login"] == BOT), "")

    def acknowledged(self) -> None:
        """Wait for the reaction and the pending status."""
        self.until(
            lambda: "eyes" in self.forge.reactions(self.repo, self.comment) and self.status()[0],
            "reaction and status",
            ACKNOWLEDGED,
        )

    def final_state(self) -> tuple[str, str]:
        """Wait for the verdict in commit status and comment; return state and description."""
        self.until(lambda: self.status()[0] not in ("", "pending"), "verdict")
        description = self.status()[1]
        self.until(lambda: description in self.answer(), "comment with the verdict")
        return self.status()


def test_from_a_comment_to_a_verdict(stack: FullStack) -> None:
    """A good pull request passes with level 5 and every stage; a broken one fails with stage and reason."""
    red, good = Conversation(stack, RED), Conversation(stack, GOOD)
    red.acknowledged()
    good.acknowledged()
    assert red.final_state() == ("failure", "the recipe failed in install")
    assert "❌ | install" in red.answer()
    assert "crash loop" in red.answer() and "no licence found" in red.answer()
    assert good.final_state() == ("success", "passed, level 5")
    assert [stage for stage in STAGES if f"| ✅ | {stage} |" not in good.answer()] == []
    assert f"{stack.files_url}/" in good.answer()


def test_second_set_up_creates_nothing(
    stack: FullStack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.up((GOOD, RED))
    output = capsys.readouterr().out
    assert output.count("found running") == 4
    assert output.count(": found (") == 2
    assert "started" not in output and "opened" not in output and "pushed" not in output
    assert "!testme" in stack.guide() and stack.forge.passwords()[MEMBER] in stack.guide()


def test_killed_parts_are_started_again(stack: FullStack) -> None:
    """As after switching the machine off; their data remains."""
    before = stack.forge.daemon.pid()
    stack.bridge.daemon.kill()
    stack.forge.daemon.kill()
    stack.up((GOOD, RED))
    assert stack.bridge.daemon.pid() is not None
    assert stack.forge.daemon.pid() not in (None, before)
    assert pull_requests.number(stack.forge, RED) is not None


def test_port_of_another_program_is_reported(tmp_path: Path) -> None:
    """That program is neither used nor killed."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port} is taken by a program that is not"):
            FullStack(tmp_path, port).up(())
