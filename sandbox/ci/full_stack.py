"""The full stack on loopback: Gitea, Drone, the bridge, and recipes with pull requests to try it on."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.ci import real_drone
from sandbox.ci.bridge import Bridge
from sandbox.ci.drone import Drone, choose_drone
from sandbox.forge import pull_requests
from sandbox.forge.gitea import ADMIN, Gitea
from sandbox.forge.pull_requests import BOT, MEMBER, NON_MEMBER, ORG, PullRequest
from sandbox.host import paths, settings
from sandbox.host.daemon import Daemon
from sandbox.host.paths import CI_REPO, PROGRAM_PATH
from sandbox.host.shell import SetupError, run, say, works

POLL_INTERVAL = 10  # seconds, of the bridge, which has the webhook too
PORT_CLOSE_TIMEOUT = 2.0  # seconds until the port of a killed process is free
STOP_TIMEOUT = 120.0  # seconds for running tests to remove their apps
JANITOR_TIMEOUT = 120.0  # seconds


@dataclass
class FullStack:
    """Everything from a comment to its answer, except the Swarm.

    Attributes:
        folder: of all data.
        port: the first of four on loopback.
        tied: the kernel kills the parts when this process dies; see `Daemon`.
        pages: static folder of Gitea's pages; see `Gitea`.
        settings: further variables of the bridge's environment.
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
        """Drone, real or the stand-in; its steps use the checkout's tools and the settings of this stack."""
        environ = {"PATH": PROGRAM_PATH, "CCCI_SETTINGS": str(self.folder / "settings.env")}
        return choose_drone(self.folder / "drone", self.port + 1, self.forge, environ)

    @property
    def bridge(self) -> Bridge:
        """The bridge, with webhook and polling."""
        settings = {
            "BRIDGE_POLL_SECONDS": str(POLL_INTERVAL),
            "BRIDGE_RUNS_URL": self.files_url,
            **self.settings,
        }
        folder, url, token = self.folder / "bridge", self.drone.url, self.drone.token
        return Bridge(folder, self.port + 2, self.forge, url, token, ORG, settings)

    @property
    def runs(self) -> Path:
        """The folder of the run directories."""
        return self.folder / "runs"

    @property
    def files_url(self) -> str:
        """The address at which the run directories are served."""
        return f"http://127.0.0.1:{self.port + 3}"

    @property
    def _files(self) -> Daemon:
        return Daemon("files", self.folder / "files", self.tied)

    # -- up

    def up(self, wanted: Sequence[PullRequest] = pull_requests.ALL) -> None:
        """Create and start everything that is missing; the rest stays as it is.

        Args:
            wanted: the pull requests to open.

        Raises:
            SetupError: a port is taken, or a part does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # Gitea does not run as root
        self.runs.mkdir(exist_ok=True)
        self._forge_up()
        for name in sorted({pull_request.recipe for pull_request in wanted}):
            made = pull_requests.push_recipe(self.forge, name)
            say(f"recipe {name}: {'pushed with its versions' if made else 'found'}")
        self._push_own_code()
        self._write_settings()
        self._start("Drone", self.drone.daemon, self.drone.port, self.drone.start)
        self._start("the bridge", self.bridge.daemon, self.bridge.port, self.bridge.start)
        self._start("the run directories", self._files, self.port + 3, self._start_files)
        self._add_webhook()
        for pull_request in wanted:
            self._open(pull_request)

    def _forge_up(self) -> None:
        self._start("Gitea", self.forge.daemon, self.port, self.forge.start)
        for name in (BOT, MEMBER, NON_MEMBER):
            self.forge.ensure_user(name)
        if not self.forge.find(f"/orgs/{ORG}"):
            self.forge.create_organisation(ORG, {"write": (MEMBER, BOT)})
        if not self.forge.find("/orgs/ci"):
            self.forge.create_organisation("ci", {})
        if not self.forge.find(f"/repos/{CI_REPO}"):
            self.forge.create_repository("ci", "cc-ci")

    @staticmethod
    def _start(name: str, daemon: Daemon, port: int, start: Callable[[], None]) -> None:
        """Start a part unless it runs; a port that another program has is an error."""
        running = daemon.pid()
        if running is None and _taken(port):
            raise SetupError(
                f"port {port} is taken by a program that is not this sandbox's, so {name} cannot start; "
                "stop that program, or choose the first of four free ports: make sandbox SANDBOX_PORT=…"
            )
        start()
        state = f"found running, pid {running}" if running else "started"
        say(f"{name}: {state} (http://127.0.0.1:{port})")

    def _push_own_code(self) -> None:
        """Push this checkout's last commit to the CI's repository, from which Drone clones it."""
        commit = _commit()
        branch = self.forge.find(f"/repos/{CI_REPO}/branches/main")
        if branch and branch["commit"]["id"] == commit:
            say(f"cc-ci itself: found at {commit[:8]}")
            return
        self.forge.push(paths.CHECKOUT, CI_REPO, f"{commit}:refs/heads/main")
        say(f"cc-ci itself: pushed at {commit[:8]}")
        if run(["git", "-C", paths.CHECKOUT, "status", "--porcelain"]).strip():
            say("  uncommitted changes are not included")

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
        self._files.wait_until_up(self.files_url)

    def _add_webhook(self) -> None:
        if not self.forge.call("GET", f"/orgs/{ORG}/hooks"):
            self.forge.add_webhook(ORG, f"{self.bridge.url}/hook", self.bridge.hook_secret)

    def _open(self, pull_request: PullRequest) -> None:
        """Make sure that a pull request exists."""
        number, state = pull_requests.number(self.forge, pull_request), "found"
        if number is None:
            number, state = pull_requests.open_pull_request(self.forge, pull_request), "opened"
        say(f"pull request {pull_request.repo}#{number}: {state} ({pull_request.expected})")

    # -- down

    def down(self) -> None:
        """Stop and remove everything; running tests come first, so that they remove their apps."""
        self._bridge_daemon.stop()
        worker = self._worker
        if worker.pid() is not None or worker.descendants():
            say("stopping Drone and running tests …")
            if not worker.terminate(STOP_TIMEOUT):
                say(f"  a test did not finish within {STOP_TIMEOUT:.0f} s and is killed")
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
        """The process that runs the steps, whether Drone was the real one or the stand-in."""
        runner = Daemon("runner", self.folder / "drone")
        is_real = runner.pid() is not None or runner.descendants()
        return runner if is_real else Daemon("drone", self.folder / "drone")

    def _janitor(self) -> None:
        """Remove leftovers of killed runs, before the run directories that name them are removed."""
        settings = self.folder / "settings.env"
        if settings.exists() and any(self.runs.iterdir()):
            command = [str(paths.CHECKOUT / ".venv" / "bin" / "cc-ci"), "janitor"]
            if not works(["env", f"CCCI_SETTINGS={settings}", *command], timeout=JANITOR_TIMEOUT):
                say(f"  the janitor failed: {' '.join(command)}")

    # -- guide

    def guide(self) -> str:
        """Return addresses, log-ins and the next step, for the terminal."""
        passwords = self.forge.passwords()
        roles = {MEMBER: f"member of {ORG}", NON_MEMBER: "not a member", ADMIN: "administrator"}
        users = [f"    {name:<8} {passwords[name]}   ({role})" for name, role in roles.items()]
        pulls = [
            f"    {self.forge.url}/{pull_request.repo}/pulls/{number}   {pull_request.expected}"
            for pull_request in pull_requests.ALL
            if (number := pull_requests.number(self.forge, pull_request)) is not None
        ]
        first = pull_requests.number(self.forge, pull_requests.GOOD)
        return "\n".join(
            [
                "",
                f"  Gitea   {self.forge.url}   log in as",
                *users,
                f"  Drone   {self.drone.url}   {_which_drone()}",
                f"  bridge  {self.bridge.url}/healthz and /metrics",
                f"  runs    {self.files_url}",
                "",
                "  open pull requests:",
                *pulls,
                "",
                f"  Next: open {self.forge.url}/{pull_requests.GOOD.repo}/pulls/{first} as {MEMBER},",
                "  comment !testme and watch the pull request. !testme --quick and !testme cancel work too.",
                "",
                f"  The passwords are in {self.folder / 'gitea' / 'people.json'} (mode 0600).",
                "  Stop and remove it all: make sandbox-down",
                "",
            ]
        )


def _which_drone() -> str:
    if real_drone.is_configured():
        return f"the real one; log in through Gitea as {ADMIN}"
    return (
        "a STAND-IN without pages, tested against recordings of the real one; "
        f"for the real one set {real_drone.SERVER} and {real_drone.RUNNER}"
    )


def _taken(port: int) -> bool:
    """Return True if a port stays in use; a process that was just killed may still be closing it."""
    end = time.monotonic() + PORT_CLOSE_TIMEOUT
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(2)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return False
        time.sleep(0.05)
    return True


def _commit() -> str:
    """Return the checkout's last commit; of a shallow clone a copy without history, which can be pushed."""
    git = ["git", "-C", str(paths.CHECKOUT)]
    if run([*git, "rev-parse", "--is-shallow-repository"]).strip() != "true":
        return run([*git, "rev-parse", "HEAD"]).strip()
    date = run([*git, "show", "--no-patch", "--format=%cI", "HEAD"]).strip()
    identity = {"NAME": "cc-ci", "EMAIL": "ci@example.com", "DATE": date}
    env = {
        f"{prefix}_{key}": value
        for prefix in ("GIT_AUTHOR", "GIT_COMMITTER")
        for key, value in identity.items()
    }
    return run(
        [*git, "commit-tree", "HEAD^{tree}", "-m", "cc-ci"], env={**os.environ, **env}
    ).strip()
