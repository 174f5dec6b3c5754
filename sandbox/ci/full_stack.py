"""The whole loop on loopback: forge, Drone, bridge, and recipes with pull requests to try it on."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.ci import ci_server, real_drone
from sandbox.ci.ci_server import Bridge, Drone
from sandbox.forge import pull_requests
from sandbox.forge.gitea import ADMIN, Gitea
from sandbox.forge.pull_requests import BOT, MEMBER, ORG, STRANGER, PullRequest
from sandbox.host import paths, settings
from sandbox.host.daemon import Daemon
from sandbox.host.paths import CI_REPO, PROGRAM_PATH
from sandbox.host.shell import SetupError, run, say, works

POLL = "10"  # seconds; the webhook is there as well
CLOSING = 2.0  # seconds
WIND_DOWN = 120.0  # seconds for running tests to remove their apps


@dataclass
class FullStack:
    """Everything from a comment to its answer, besides the Swarm.

    folder: all its data; port: the first of four on loopback; tied: see `Daemon`; pages: see `Gitea`;
    settings: further keys of the bridge's environment.
    """

    folder: Path
    port: int
    tied: bool = False
    pages: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.forge = Gitea(self.folder / "gitea", self.port, self.tied, pages=self.pages)

    @property
    def drone(self) -> Drone:
        """Drone, real or the stand-in; its steps find the checkout's tools and this loop's settings."""
        environ = {"PATH": PROGRAM_PATH, "CCCI_SETTINGS": str(self.folder / "settings.env")}
        return ci_server.drone(self.folder / "drone", self.port + 1, self.forge, environ)

    @property
    def bridge(self) -> Bridge:
        """The bridge, with webhook and polling."""
        settings = {"BRIDGE_POLL_SECONDS": POLL, "BRIDGE_RUNS_URL": self.files_url, **self.settings}
        drone = self.drone
        folder = self.folder / "bridge"
        return Bridge(folder, self.port + 2, self.forge, drone.url, drone.token, ORG, settings)

    @property
    def runs(self) -> Path:
        """The run directories."""
        return self.folder / "runs"

    @property
    def files_url(self) -> str:
        """Where the run directories can be read."""
        return f"http://127.0.0.1:{self.port + 3}"

    @property
    def _files(self) -> Daemon:
        return Daemon("files", self.folder / "files", self.tied)

    # -- up

    def up(self, wanted: Sequence[PullRequest] = pull_requests.ALL) -> None:
        """Make and start whatever is missing; what is there stays as it is.

        Raises:
            SetupError: a port is taken, or a part does not come up.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # Gitea does not run as root
        self.runs.mkdir(exist_ok=True)
        self._forge_up()
        for name in sorted({proposal.recipe for proposal in wanted}):
            made = pull_requests.recipe(self.forge, name)
            say(f"recipe {name}: {'pushed with its versions' if made else 'found'}")
        self._own_code()
        self._write_settings()
        self._start("Drone", self.drone.daemon, self.drone.port, self.drone.start)
        self._start("the bridge", self.bridge.daemon, self.bridge.port, self.bridge.start)
        self._start("the run directories", self._files, self.port + 3, self._start_files)
        self._hook()
        for proposal in wanted:
            self._proposed(proposal)

    def _forge_up(self) -> None:
        self._start("the forge", self.forge.daemon, self.port, self.forge.start)
        for name in (BOT, MEMBER, STRANGER):
            self.forge.person(name)
        if not self.forge.there(f"/orgs/{ORG}"):
            self.forge.organisation(ORG, {"write": (MEMBER, BOT)})
        if not self.forge.there("/orgs/ci"):
            self.forge.organisation("ci", {})
        if not self.forge.there(f"/repos/{CI_REPO}"):
            self.forge.repository("ci", "cc-ci")

    @staticmethod
    def _start(name: str, daemon: Daemon, port: int, start: Callable[[], None]) -> None:
        """Start a part, or say that it runs; a stranger on its port is named before anything starts."""
        running = daemon.pid()
        if running is None and _taken(port):
            raise SetupError(
                f"port {port} is taken by a program that is not this sandbox's, so {name} cannot start; "
                "end that program, or name four free ports by their first: make sandbox SANDBOX_PORT=…"
            )
        start()
        found = f"found running, pid {running}" if running else "started"
        say(f"{name}: {found} (http://127.0.0.1:{port})")

    def _own_code(self) -> None:
        """Push this checkout's last commit to the CI's repository."""
        commit = _commit()
        branch = self.forge.there(f"/repos/{CI_REPO}/branches/main")
        if branch and branch["commit"]["id"] == commit:
            say(f"the CI's own code: found at {commit[:8]}")
            return
        self.forge.push(paths.CHECKOUT, CI_REPO, f"{commit}:refs/heads/main")
        say(f"the CI's own code: pushed at {commit[:8]}")
        if run(["git", "-C", paths.CHECKOUT, "status", "--porcelain"]).strip():
            say("  what is not committed here is not in it")

    def _write_settings(self) -> None:
        """Write the settings of the product: those of the test bed, but recipes come from this forge."""
        values = settings.read() | {
            "CCCI_RECIPES_URL": f"{self.forge.url}/{ORG}/{{recipe}}.git",
            "CCCI_FORGE_URL": self.forge.url,
            "CCCI_RUNS_DIR": str(self.runs),
        }
        settings.write(values, self.folder / "settings.env")

    def _start_files(self) -> None:
        words = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
        words += ["--directory", str(self.runs), str(self.port + 3)]
        self._files.start(words, {"PATH": PROGRAM_PATH})
        self._files.answers(self.files_url)

    def _hook(self) -> None:
        if not self.forge.call("GET", f"/orgs/{ORG}/hooks"):
            self.forge.hook(ORG, f"{self.bridge.url}/hook", self.bridge.hook_secret)

    def _proposed(self, proposal: PullRequest) -> int:
        """Make sure that a pull request is there; return its number."""
        number = pull_requests.number(self.forge, proposal)
        word = "found"
        if number is None:
            number, word = pull_requests.open_pull(self.forge, proposal), "opened"
        say(f"pull request {proposal.repo}#{number}: {word} ({proposal.promise})")
        return number

    # -- down

    def down(self) -> None:
        """End and remove all of it, running tests first, so that they remove their apps."""
        self._bridge_daemon.stop()
        worker = self._worker
        if worker.pid() is not None or worker.others():
            say("ending Drone, and the tests that run …")
            if not worker.wind_down(WIND_DOWN):
                say(f"  a test did not end within {WIND_DOWN:.0f} s and is killed")
        for name in ("runner", "drone"):
            Daemon(name, self.folder / "drone").stop(grace=1.0)
        self._janitor()
        self.forge.stop()
        self._files.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _bridge_daemon(self) -> Daemon:
        return Daemon("bridge", self.folder / "bridge")

    @property
    def _worker(self) -> Daemon:
        """What runs the steps, whichever Drone this folder was started with."""
        runner = Daemon("runner", self.folder / "drone")
        known = runner.pid() is not None or runner.others()
        return runner if known else Daemon("drone", self.folder / "drone")

    def _janitor(self) -> None:
        """Remove what runs left that were killed; afterwards nothing says whose it was."""
        settings = self.folder / "settings.env"
        if settings.exists() and any(self.runs.iterdir()):
            command = [paths.CHECKOUT / ".venv" / "bin" / "cc-ci", "janitor"]
            if not works(["env", f"CCCI_SETTINGS={settings}", *command], timeout=120):
                say(f"  the janitor could not run: {' '.join(map(str, command))}")

    # -- what to do with it

    def guide(self) -> str:
        """Return addresses, log-ins and what to do next."""
        passwords = self.forge.passwords()
        who = {MEMBER: f"a member of {ORG}", STRANGER: "a stranger", ADMIN: "administrator"}
        people = [f"    {name:<8} {passwords[name]}   ({what})" for name, what in who.items()]
        pulls = [
            f"    {self.forge.url}/{proposal.repo}/pulls/{number}   {proposal.promise}"
            for proposal in pull_requests.ALL
            if (number := pull_requests.number(self.forge, proposal)) is not None
        ]
        first = pull_requests.number(self.forge, pull_requests.GOOD)
        return "\n".join(
            [
                "",
                f"  forge   {self.forge.url}   log in as",
                *people,
                f"  Drone   {self.drone.url}   {_which_drone()}",
                f"  bridge  {self.bridge.url}/healthz and /metrics",
                f"  runs    {self.files_url}",
                "",
                "  pull requests that wait:",
                *pulls,
                "",
                f"  Next: open {self.forge.url}/{pull_requests.GOOD.repo}/pulls/{first} as {MEMBER},",
                "  comment !testme, and read on there. !testme --quick and !testme cancel work too.",
                "",
                f"  Passwords are kept in {self.folder / 'gitea' / 'people.json'} (0600).",
                "  End and remove it: make sandbox-down",
                "",
            ]
        )


def _which_drone() -> str:
    if real_drone.there():
        return f"the real one; log in by the forge as {ADMIN}"
    return (
        "a STAND-IN without pages, held to recordings of the real one; "
        f"for the real one name {real_drone.SERVER} and {real_drone.RUNNER}"
    )


def _taken(port: int) -> bool:
    """Say whether somebody listens on a port, and goes on to; what was just killed is still closing."""
    end = time.monotonic() + CLOSING
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(2)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return False
        time.sleep(0.05)
    return True


def _commit() -> str:
    """Return the checkout's last commit; where its history is cut off, a copy of it without history."""
    git = ["git", "-C", paths.CHECKOUT]
    if run([*git, "rev-parse", "--is-shallow-repository"]).strip() != "true":
        return run([*git, "rev-parse", "HEAD"]).strip()
    date = run([*git, "show", "--no-patch", "--format=%cI", "HEAD"]).strip()
    names = ("GIT_AUTHOR", "GIT_COMMITTER")
    who = {
        f"{n}_{k}": v for n in names for k, v in (("NAME", "cc-ci"), ("EMAIL", "ci@example.com"))
    }
    env = {**os.environ, **who, **{f"{n}_DATE": date for n in names}}
    return run([*git, "commit-tree", "HEAD^{tree}", "-m", "cc-ci"], env=env).strip()
