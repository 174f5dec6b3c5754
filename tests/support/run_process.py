"""Runs as processes: pytest over a folder of suites, started as a user or as Drone does."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from harness import settings
from harness.host import orphans, wait
from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT

TIMEOUT = 400.0  # seconds for a whole run on a busy machine
POLL_INTERVAL = 0.02  # seconds
SUITES = CHECKOUT / "recipes_tests"
CLI = (sys.executable, "-c", "from harness.cli import main; main()")


def pytest_command(*words: str | Path, code: Path = CHECKOUT) -> list[str]:
    """Return the command of a pytest process that tests recipes.

    Args:
        words: folders, options and further plugins.
        code: the checkout whose harness is used.
    """
    own = ["-c", code / "pytest.ini", "--rootdir", code, "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", *map(str, [*own, "-p", "harness.plugin", *words])]


def copy_suites(folder: Path, *recipes: str) -> Path:
    """Make a folder of suites: the generic stages, and the suites of some recipes of this checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SUITES / "test_lifecycle.py", folder)
    for recipe in recipes:
        shutil.copytree(SUITES / recipe, folder / recipe)
    return folder


class RunProcess:
    """A pytest process over a folder of suites, and its run.

    Args:
        options: further options of pytest.
        suites: the folder of suites.
        recipe: the only recipe to test; all of the folder if empty.
        ref: its commit; the head of its default branch if empty.
        env: more environment variables. `DRONE_BUILD_NUMBER` becomes the run's id, otherwise it is random.
        shell: start it through a shell, as Drone does.
        terminal: give it a terminal of its own.
        piped: let it print to a pipe instead of a file.
        code: the checkout whose harness is used.
    """

    def __init__(
        self,
        *options: str,
        suites: Path = SUITES,
        recipe: str = "",
        ref: str = "",
        env: Mapping[str, str] | None = None,
        shell: bool = False,
        terminal: bool = False,
        piped: bool = False,
        code: Path = CHECKOUT,
    ) -> None:
        self.recipe, self.ref, self.shell = recipe, ref, shell
        self.id = (env or {}).get("DRONE_BUILD_NUMBER") or f"f{uuid.uuid4().hex[:8]}"
        own = {"CCCI_SUITES_DIR": str(suites), **(env or {}), "DRONE_BUILD_NUMBER": self.id}
        environment = {**os.environ, **own}
        self.dir = settings.load(environment).runs_dir / self.id
        words = pytest_command(suites, code=code)
        words += ["--recipe", recipe] if recipe else []
        words += ["--ref", ref] if ref else []
        words += options
        if shell:
            words = ["sh", "-c", f"{' '.join(words)}; :"]
        if terminal:
            words = ["setsid", "-c", *words]  # makes it the controlling terminal
        self.peak_memory = 0.0  # MiB, known once it has exited
        self._reader, out = pty.openpty() if terminal else os.pipe() if piped else (-1, -1)
        fd, name = tempfile.mkstemp(prefix="cc-ci-run-", suffix=".log")
        self._log, self._final_output = Path(name), ""
        try:
            self.process = subprocess.Popen(
                words,
                cwd=code,
                env=environment,
                stdin=out if terminal else subprocess.DEVNULL,
                stdout=fd if out == -1 else out,
                stderr=subprocess.STDOUT,
                start_new_session=not terminal,
            )
        finally:
            os.close(fd)
        if out != -1:
            os.close(out)
            os.set_blocking(self._reader, False)

    # -- output

    def _drain(self) -> None:
        """Copy what it printed to its terminal or pipe into its log."""
        with suppress(OSError), self._log.open("ab") as log:
            while self._reader != -1 and (data := os.read(self._reader, 65536)):
                log.write(data)

    @property
    def out(self) -> str:
        """What it has printed so far."""
        if not self._log.exists():
            return self._final_output
        self._drain()
        return self._log.read_text(errors="replace")

    def press(self, keys: bytes) -> None:
        """Send keys to its terminal."""
        os.write(self._reader, keys)

    def hang_up(self) -> None:
        """Close our end of its terminal or pipe."""
        if self._reader != -1:
            os.close(self._reader)
        self._reader = -1

    # -- waiting

    def until(self, look: Callable[[], object], what: str) -> None:
        """Wait until a function returns something true; fail if the process exits before.

        Args:
            look: the function.
            what: what is waited for, for messages.
        """

        def seen() -> wait.Look[bool]:
            if look():
                return wait.Look("", True)
            if self._exited():
                raise AssertionError(f"the run exited before {what}:\n{self.out}")
            return wait.Look("")

        wait.until(seen, what=what, timeout=TIMEOUT, every=POLL_INTERVAL)

    def until_printed(self, text: str) -> str:
        """Wait until it has printed a text; return the whole line."""
        self.until(lambda: text in self.out, f"'{text}'")
        return next(line for line in self.out.splitlines() if text in line)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait until it exits and return its exit code.

        Args:
            timeout: seconds; if the run takes longer, the test fails.
        """

        def look() -> wait.Look[bool]:
            self._drain()
            return wait.Look("", self._exited() or None)

        wait.until(look, what="the run to exit", timeout=timeout, every=POLL_INTERVAL)
        return self.process.returncode

    def _exited(self) -> bool:
        """Return True if it has exited; `peak_memory` is known then."""
        if self.process.returncode is None:
            pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.peak_memory = used.ru_maxrss / 1024
        return self.process.returncode is not None

    def wait_until_gone(self) -> None:
        """Wait until all its processes have exited."""

        def look() -> wait.Look[bool]:
            self._drain()
            return wait.Look("", None if in_session(self.process.pid) else True)

        wait.until(look, what="the processes to exit", timeout=TIMEOUT, every=POLL_INTERVAL)

    def finish(self, timeout: float = TIMEOUT) -> RunProcess:
        """Wait until it exits, kill what is left of it if it does not, and return it."""
        try:
            self.wait(timeout)
        finally:
            self.kill()
        return self

    def kill(self) -> None:
        """Kill all its processes and remove its log."""
        for pid in in_session(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()
        self._final_output = self.out
        self.hang_up()
        self._log.unlink(missing_ok=True)

    # -- results

    @property
    def exit_code(self) -> int:
        """Its exit code, once it has exited."""
        assert self.process.returncode is not None, "the run has not exited"
        return self.process.returncode

    def harness_pid(self) -> int:
        """Return the pid of pytest: our child, or the shell's."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if self.shell else pid

    @property
    def report(self) -> Report:
        """The report of its run as it is now."""
        return run_dir.read(self.dir)

    @property
    def failure_text(self) -> str:
        """The reason of the verdict, and messages and details of all failed cases."""
        found = self.report
        return "\n".join([found.reason, *(f"{c.message}\n{c.details}" for c in found.failed)])

    def checked_report(self) -> Report:
        """Check that each file of the report can be parsed, and return the report."""
        json.loads((self.dir / "report.json").read_text())
        ElementTree.parse(self.dir / "junit.xml")
        assert (self.dir / "summary.md").read_text().startswith("# ")
        return self.report


def in_session(session: int) -> list[int]:
    """Return the pids of all processes of a session (see setsid(2))."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [p.pid for pid in pids if (p := orphans.running(pid)) and p.session == session]
