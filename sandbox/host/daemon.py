"""Long-running programs of the sandbox: started in sessions of their own, stopped only if they are ours."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.host.shell import SetupError

_STARTED: list[subprocess.Popen[bytes]] = []  # keeps references, see _forget_running
GRACE = 10.0  # seconds between SIGTERM and SIGKILL


@atexit.register
def _forget_running() -> None:
    """Silence Popen.__del__, which warns about running children: they are meant to outlive us."""
    for process in _STARTED:
        if process.poll() is None:
            process.returncode = 0


@dataclass(frozen=True, slots=True)
class Daemon:
    """One program; its pid and start time are in `<folder>/<name>.pid`, its output is in `<name>.log`.

    Attributes:
        name: names its files.
        folder: of its files.
        tied: the kernel kills it when the process that started it dies; for tests.
    """

    name: str
    folder: Path
    tied: bool = False

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Return its pid while it runs, else None.

        The start time is compared too: after its end the pid can be given to another program.
        """
        try:
            pid, started = self._record.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_time(int(pid)) == started else None

    def start(
        self,
        argv: Sequence[str | Path],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
        user: int | None = None,
    ) -> int:
        """Start it unless it runs; return its pid.

        Args:
            argv: the command.
            env: the complete environment.
            cwd: working directory, `folder` if None.
            user: numeric id of user and group to run as.

        Raises:
            SetupError: it cannot be started.
        """
        running = self.pid()
        if running is not None:
            return running
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [*(["setpriv", "--pdeathsig", "KILL"] if self.tied else []), *map(str, argv)]
        with self.log.open("ab") as out:
            try:
                process = subprocess.Popen(
                    words,
                    env=dict(env),
                    cwd=cwd or self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [],
                )
            except OSError as error:
                raise SetupError(f"cannot start {words[0]}: {error.strerror}") from error
        _STARTED.append(process)
        self._record.write_text(f"{process.pid} {start_time(process.pid)}\n")
        return int(process.pid)

    def descendants(self) -> list[int]:
        """Return the running processes that it started, also after its own end.

        They are in its session; the kernel does not reuse a pid while a session of that number has members.
        """
        try:
            pid, started = self._record.read_text().split()
        except (OSError, ValueError):
            return []
        if start_time(int(pid)) not in ("", started):
            return []  # the pid was reused, so its session is empty
        return [member for member in _session(int(pid)) if member != int(pid)]

    def kill(self) -> None:
        """Send SIGKILL, as if it had crashed, and wait for its end."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._wait(pid, GRACE)

    def stop(self, grace: float = GRACE) -> None:
        """Stop it: SIGTERM, SIGKILL after `grace` seconds; then SIGKILL for its descendants."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not self._wait(pid, grace):
                os.kill(pid, signal.SIGKILL)
                self._wait(pid, GRACE)
        for child in self.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._record.unlink(missing_ok=True)

    def terminate(self, timeout: float) -> bool:
        """Send SIGTERM to it and its descendants; return True if all have exited within `timeout` seconds.

        A runner takes no new work from then on. Of its descendants only the topmost get the signal: a step's
        shell dies, and the test run below it notices that and cleans up.
        """
        children = self.descendants()
        pid = self.pid()
        first = [pid] if pid is not None else []
        topmost = [
            child for child in children if int((_stat(child) or ["", "0"])[1]) not in children
        ]
        for number in (*first, *topmost):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        end = time.monotonic() + timeout
        while self.pid() is not None or self.descendants():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _wait(self, pid: int, timeout: float) -> bool:
        """Wait for its end; return True if it has exited in time."""
        end = time.monotonic() + timeout
        while self.pid() is not None:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        for process in _STARTED:
            if process.pid == pid:  # a zombie can still have threads that hold a socket
                process.wait(GRACE)
        return True

    def wait_until_up(self, url: str, *, timeout: float = 60.0) -> None:
        """Wait until an address of it answers with an HTTP status below 500.

        Args:
            url: the address.
            timeout: seconds.

        Raises:
            SetupError: it exited, or did not answer in time; the message has the end of its log.
        """
        end = time.monotonic() + timeout
        while not _is_up(url):
            if self.pid() is None or time.monotonic() > end:
                tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise SetupError(
                    f"{self.name} does not answer at {url}; its log ends with\n  {tail}"
                )
            time.sleep(0.05)


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def start_time(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot; "" if it is gone or a zombie."""
    rest = _stat(pid)
    if rest and rest[0] == "Z":
        for process in _STARTED:
            process.poll()  # reaps our own children
        return ""
    return rest[19] if rest else ""


def _session(number: int) -> list[int]:
    """Return the running processes of a session."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    stats = {pid: _stat(pid) for pid in pids}
    return [
        pid for pid, rest in stats.items() if rest and rest[0] != "Z" and rest[3] == str(number)
    ]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
