"""Long-running programs of the sandbox: started in sessions of their own, ended only if they are ours."""

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

_STARTED: list[subprocess.Popen[bytes]] = []  # forgotten, they would complain that they still run
GRACE = 10.0  # seconds between SIGTERM and SIGKILL


@atexit.register
def _leave() -> None:
    """Let go of what runs on without us: Python would call it forgotten."""
    for process in _STARTED:
        if process.poll() is None:
            process.returncode = 0


@dataclass(frozen=True, slots=True)
class Daemon:
    """One program. Its pid and start time stand in `<folder>/<name>.pid`, its output in `<name>.log`.

    tied: it is killed when whoever started it dies, as tests want it.
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
        """Return its pid while it runs; another program that got its pid is not taken for it."""
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

        user: numeric id to run as.

        Raises:
            SetupError: it cannot be started.
        """
        running = self.pid()
        if running is not None:
            return running
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [*(["setpriv", "--pdeathsig", "KILL"] if self.tied else []), *map(str, argv)]
        rights = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with self.log.open("ab") as out:
            try:
                process = subprocess.Popen(  # type: ignore[call-overload]
                    words,
                    env=dict(env),
                    cwd=cwd or self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    **rights,
                )
            except OSError as error:
                raise SetupError(f"cannot start {words[0]}: {error.strerror}") from error
        _STARTED.append(process)
        self._record.write_text(f"{process.pid} {start_time(process.pid)}\n")
        return int(process.pid)

    def others(self) -> list[int]:
        """Return the living processes that it started, those that outlived it too.

        The kernel gives a pid to nobody else while it names a session that somebody is in.
        """
        try:
            pid, started = self._record.read_text().split()
        except (OSError, ValueError):
            return []
        if start_time(int(pid)) not in ("", started):
            return []  # another program got its pid, so nothing of its session is left
        return [other for other in _session(int(pid)) if other != int(pid)]

    def kill(self) -> None:
        """End it by SIGKILL at once, as a crash would."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._wait(pid, GRACE)

    def stop(self, grace: float = GRACE) -> None:
        """End it: SIGTERM, and after `grace` seconds SIGKILL; then SIGKILL for what it left behind."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not self._wait(pid, grace):
                os.kill(pid, signal.SIGKILL)
                self._wait(pid, GRACE)
        for other in self.others():
            with contextlib.suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
        self._record.unlink(missing_ok=True)

    def wind_down(self, seconds: float) -> bool:
        """Ask it and the programs that it started to end; say whether all have, after so many seconds.

        A runner takes no new work from then on; a step's shell dies, and what hangs on it cleans up.
        """
        others = self.others()
        pid = self.pid()
        first = [pid] if pid is not None else []
        roots = [other for other in others if int((_stat(other) or ["", "0"])[1]) not in others]
        for number in (*first, *roots):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        end = time.monotonic() + seconds
        while self.pid() is not None or self.others():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _wait(self, pid: int, seconds: float) -> bool:
        """Wait for its end; say whether it came."""
        end = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        for process in _STARTED:
            if process.pid == pid:  # a zombie may still have threads, and they a socket
                process.wait(GRACE)
        return True

    def answers(self, url: str, *, seconds: float = 60.0) -> None:
        """Wait until an address of it answers with a status below 500.

        Raises:
            SetupError: it ended, or did not answer in time; with the end of its log.
        """
        end = time.monotonic() + seconds
        while not _answers(url):
            if self.pid() is None or time.monotonic() > end:
                tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise SetupError(
                    f"{self.name} does not answer at {url}; its log ends with\n  {tail}"
                )
            time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks since boot; "" if it is gone or a zombie."""
    rest = _stat(pid)
    if rest and rest[0] == "Z":
        for process in _STARTED:
            process.poll()  # takes its own children away
        return ""
    return rest[19] if rest else ""


def _session(number: int) -> list[int]:
    """Return the living processes of a session."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    stats = {pid: _stat(pid) for pid in pids}
    return [
        pid for pid, rest in stats.items() if rest and rest[0] != "Z" and rest[3] == str(number)
    ]


def _stat(pid: int) -> list[str]:
    """Return what the kernel says of a process, from its state on; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
