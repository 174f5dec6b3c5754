"""Run untrusted programs in a bubblewrap sandbox: own UID, no groups, no capabilities, no host files.

The jail has its own root directory, processes, network and hostname. Its only way out is port 443 of its own
loopback, which `relay.py` connects to the proxy. Memory, processes and processor time are limited for all
processes of the jail together. Everything in it is killed when the harness exits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError
from harness.host import cgroup, proc
from harness.jail import command, files
from harness.jail.command import Target

TOOLS = {
    "bwrap": "bubblewrap",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
RELAY = Path(__file__).with_name("relay.py")
FIRST_UID = 1_900_000_000  # above every UID that Debian or systemd assign; plus our process id
MAX_OUTPUT = 128 * 1024  # last bytes of each stream that are kept
MAX_RESULTS = 2 * 1024 * 1024  # first bytes of the results file that are read
CHECK_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class JailResult:
    """How a program in the jail finished. Untrusted: only a non-zero exit code is evidence.

    Attributes:
        exit_code: None if it timed out.
        output: the last bytes of both streams.
        results: the first bytes of the file `/results` that it may write.
        seconds: how long it ran.
    """

    exit_code: int | None
    output: str
    results: bytes
    seconds: float


def why_unavailable() -> str:
    """Return why this host cannot run a jail, with the command that fixes it, or ""."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"'{tool}' is missing; run `apt-get install {package}`, or `make setup`"
    if os.geteuid() != 0:
        return "only root can set up a jail; run as root"
    return ""


def check() -> None:
    """Run a program that does nothing in a jail.

    Raises:
        InfraError: the jail does not work on this host; the message says why.
    """
    _require_tools()
    target = Target("app.invalid", ("127.0.0.1", 9))
    with files.jail_dir() as folder:
        result = _run(folder, target, ["true"], CHECK_TIMEOUT)
    if result.exit_code != 0:
        output = " ".join(result.output.split()) or "nothing"
        raise InfraError(
            f"the jail does not work on this host: exit code {result.exit_code}, "
            f"output: {output[-400:]}"
        )


def run_tests(
    tests: Path,
    target: Target,
    *,
    seconds: float,
    progress: Callable[[str], None] = lambda line: None,
) -> JailResult:
    """Run pytest on a folder of tests in a jail, against one app.

    Args:
        tests: the folder; a copy of it is used.
        target: the app that the tests may reach.
        seconds: timeout; then every process in the jail is killed.
        progress: receives a line every 10 s.

    Raises:
        InfraError: the jail does not work on this host.
    """
    _require_tools()
    with files.jail_dir() as folder:
        shutil.copytree(tests, folder / "recipe" / tests.name, symlinks=True)
        packages = files.package_mounts(folder / "site")
        result = _run(folder, target, command.pytest(tests.name), seconds, progress, packages)
    if result.exit_code not in (0, None) and not result.results:
        check()  # no results at all: perhaps the jail never started
    return result


def _require_tools() -> None:
    if problem := why_unavailable():
        raise InfraError(f"the jail does not work on this host: {problem}")


def _run(
    folder: Path,
    target: Target,
    words: Sequence[str],
    seconds: float,
    progress: Callable[[str], None] = lambda line: None,
    mounts: Sequence[tuple[str, str]] = (),
) -> JailResult:
    uid = FIRST_UID + os.getpid()
    relay = folder / RELAY.name  # the jail's user may not be able to read our checkout
    shutil.copyfile(RELAY, relay)
    results = files.prepare(folder, target.domain, target.ca_file, uid, mounts)
    env = {key: os.environ[key] for key in ("PATH", "CCCI_RUN") if key in os.environ}
    with cgroup.group(command.LIMITS) as groups:
        try:
            done = proc.run(
                command.build(folder, relay, target, uid, groups, words),
                timeout=seconds,
                env=env,
                cwd=Path("/"),
                check=False,
                progress=progress,
                shown="the jail",
                keep_last=MAX_OUTPUT,
            )
            exit_code, output, took = done.exit_code, done.text, done.seconds
        except proc.CommandTimedOut as late:
            exit_code, output, took = None, late.output, seconds
    with results.open("rb") as file:
        return JailResult(exit_code, output, file.read(MAX_RESULTS), took)
