"""Control groups that limit a tree of processes, and the jail's relay."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.host import cgroup, wait
from harness.host.cgroup import Limits
from harness.jail import jail
from harness.jail.relay import MAX_CONNECTIONS
from harness.settings import CHECKOUT

LIMITS = Limits(memory=64 * 1024 * 1024, processes=8, processors=0.5)


def test_processes_in_a_group_are_killed_with_it() -> None:
    process = subprocess.Popen(["sleep", "600"])
    try:
        with cgroup.group(LIMITS) as files:
            for file in files:
                file.write_text(str(process.pid))
            assert all(file.read_text().split() == [str(process.pid)] for file in files)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
    assert not any(file.parent.exists() for file in files)


def test_processor_time_is_limited() -> None:
    """The kernel throttles a busy process even on an idle host."""
    words = [sys.executable, "-c", "while True: pass"]
    process = subprocess.Popen(words)
    try:
        with cgroup.group(replace(LIMITS, processors=0.05)) as files:
            for file in files:
                file.write_text(str(process.pid))
            (folder,) = {file.parent for file in files if (file.parent / "cpu.stat").exists()}

            def look() -> wait.Look[bool]:
                lines = (folder / "cpu.stat").read_text().splitlines()
                throttled = dict(line.split() for line in lines)["nr_throttled"]
                return wait.Look(throttled, True if int(throttled) > 3 else None)

            assert wait.until(look, what="it to be throttled", timeout=30, every=0.02)
    finally:
        process.kill()
        process.wait()


def test_the_group_of_a_live_process_is_not_removed() -> None:
    """Only groups of dead processes are removed."""
    parent = os.getppid()
    folder = next(path for path in cgroup.ROOT.glob("**/cgroup.procs")).parent / f"cc-ci-{parent}"
    folder.mkdir()
    try:
        with cgroup.group(LIMITS):
            assert folder.exists()
    finally:
        folder.rmdir()


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_control_groups_are_supported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int
) -> None:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    if version == 2:
        (tmp_path / "cgroup.controllers").touch()
    made = cgroup._parts("x", LIMITS)
    values = {key: value for part in made for key, value in part.values}
    if version == 2:
        assert [part.folder for part in made] == [tmp_path / "x"]
        assert made[0].swap == ("memory.swap.max", "0"), "it would swap otherwise"
        assert values == {"memory.max": "67108864", "pids.max": "8", "cpu.max": "50000 100000"}
    else:
        kinds = {part.folder.parent.name for part in made}
        assert kinds == {"memory", "pids", "cpu"}
        swap = {part.swap for part in made}
        assert ("memory.memsw.limit_in_bytes", "67108864") in swap, "it would swap otherwise"
        assert (values["memory.limit_in_bytes"], values["pids.max"]) == ("67108864", "8")
        assert (values["cpu.cfs_quota_us"], values["cpu.cfs_period_us"]) == ("50000", "100000")


def test_without_control_groups_the_jail_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is an infrastructure error, reported before anything is started."""
    monkeypatch.setattr(cgroup, "ROOT", tmp_path / "nowhere")
    with pytest.raises(InfraError, match="cannot limit processes by control groups"):
        jail.check()


def test_the_relay_limits_concurrent_connections() -> None:
    """Otherwise a suite could use up all connections of the proxy."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        proxy = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        port, fd = str(proxy.getsockname()[1]), listener.fileno()
        words = [sys.executable, "-I", str(jail.RELAY), "relay", str(fd), "127.0.0.1", port]
        process = stack.enter_context(subprocess.Popen([*words, str(os.getpid())], pass_fds=[fd]))
        stack.callback(process.kill)
        address = listener.getsockname()
        callers = [
            stack.enter_context(socket.create_connection(address))
            for _ in range(MAX_CONNECTIONS + 1)
        ]
        proxy.settimeout(20)
        made = [stack.enter_context(proxy.accept()[0]) for _ in range(MAX_CONNECTIONS)]
        proxy.settimeout(0.5)
        with pytest.raises(TimeoutError):
            stack.enter_context(proxy.accept()[0])
        for one in (*made, *callers[:MAX_CONNECTIONS]):
            one.close()
        proxy.settimeout(20)
        stack.enter_context(proxy.accept()[0])


def test_a_relay_without_its_jail_exits() -> None:
    """Its parent may die before the parent-death signal is set."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        words = [sys.executable, "-I", str(jail.RELAY), "relay", str(fd), "127.0.0.1", "9", "1"]
        done = subprocess.run(words, pass_fds=[fd], timeout=20, check=False)
    assert done.returncode == 0


CLEARING = """
import os, pathlib, subprocess, sys
from harness.jail import files
from harness.errors import InfraError
files.JAILS_DIR = pathlib.Path(sys.argv[1])
kept = []
for name in ("4194304", str(os.getpid())):  # of a dead process, and of an earlier jail of this one
    package = files.JAILS_DIR / name / "site" / "package"
    package.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(package)], check=True)
    kept.append(package / "code.py")
    kept[-1].touch()
try:
    with files.jail_dir():
        print("made")
except InfraError as error:
    print(error)
print(all(path.exists() for path in kept))
for path in kept:
    subprocess.run(["umount", str(path.parent)], check=True)
with files.jail_dir() as folder:
    print([path.name for path in files.JAILS_DIR.iterdir()] == [folder.name])
print(list(files.JAILS_DIR.iterdir()))
"""


def test_mounts_in_a_jails_folder_are_not_emptied(tmp_path: Path) -> None:
    """If a jail's mounts appear on the host, they lead to the host's own Python packages."""
    words = ["unshare", "--mount", sys.executable, "-c", CLEARING, str(tmp_path)]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.stderr == ""
    refused, *held = done.stdout.splitlines()
    assert refused.startswith(f"something is mounted below '{tmp_path}/")
    assert held == ["True", "True", "[]"], "emptied, or not removed after unmounting"
