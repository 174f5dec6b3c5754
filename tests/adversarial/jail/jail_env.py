"""An app that answers, a runner of untrusted suites, and checks of what they leave behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness.host import wait
from harness.jail import files, jail
from harness.jail.command import Target
from harness.jail.jail import JailResult

DOMAIN = "app.ci.test"


class Answer(BaseHTTPRequestHandler):
    """Answers with the name of the requested host."""

    def do_GET(self) -> None:
        """Answer with the Host header."""
        body = f"the app of {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def proxy() -> Iterator[tuple[str, int]]:
    """Run a proxy on the host's loopback with one app behind it; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield ("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class UntrustedSuite:
    """Runs untrusted code as a suite in a jail."""

    folder: Path
    address: tuple[str, int]

    def write(self, code: str) -> Path:
        """Write a suite with one file; return its folder."""
        tests = self.folder / "tests"
        tests.mkdir(exist_ok=True)
        (tests / "test_own.py").write_text(code)
        return tests

    def add_file(self, name: str, text: str) -> None:
        """Add a file to the suite."""
        tests = self.folder / "tests"
        tests.mkdir(exist_ok=True)
        (tests / name).write_text(text)

    def run(self, code: str, *, seconds: float = 60.0) -> JailResult:
        """Run a suite with this code in a jail."""
        tests = self.write(code)
        return jail.run_tests(tests, Target(DOMAIN, self.address), seconds=seconds)


def processes_of(uid: int) -> list[int]:
    """Return the ids of a user's processes, without zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                lines = (folder / "status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            if int(fields["Uid"].split()[0]) == uid and "Z" not in fields["State"].split()[0]:
                found.append(int(folder.name))
    return found


def await_exit(uid: int) -> None:
    """Require that all processes of a user exit within 10 s."""
    wait.until(
        lambda: wait.Look(str(processes_of(uid)), None if processes_of(uid) else True),
        what="the jail's processes to exit",
        timeout=10,
        every=0.02,
    )


def assert_nothing_left(pid: int = 0) -> None:
    """Require that a jail left no process, folder or control group behind."""
    pid = pid or os.getpid()
    await_exit(jail.FIRST_UID + pid)
    groups = os.walk("/sys/fs/cgroup")  # a glob fails if a group is removed meanwhile
    assert [folder for folder, *_ in groups if Path(folder).name == f"cc-ci-{pid}"] == []
    assert not (files.JAILS_DIR / str(pid)).exists()
