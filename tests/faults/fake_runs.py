"""Fake runs for the janitor: processes that register an app, keep it, and are killed or release it.

They are cheap enough for thousands. One helper process forks them; they print one line for each change.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.host import orphans, wait
from harness.naming import stack_name
from harness.runs import registry
from harness.settings import CHECKOUT, Settings
from tests.support.fake_docker import FakeDocker

HELPER = """
import os, signal, sys
from pathlib import Path
from harness import settings
from harness.runs import registry
from harness.errors import InfraError
found = settings.load(os.environ)
def report(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def run_fake(number, domain, stack, run):
    folder = found.runs_dir / run
    folder.mkdir(parents=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    record = registry.begin(folder, run=run, recipe="hello")
    try:
        entry = registry.register(found, domain=domain, stack=stack, run=run, run_dir=folder,
                                  recipe="hello", life="fresh")
    except InfraError:
        registry.forget(found, record)
        report("refused", number, os.getpid())
        return
    report("registered", number, os.getpid())
    signal.sigwait([signal.SIGUSR2])
    registry.forget(found, entry)
    registry.forget(found, record)
    report("released", number, os.getpid())
for line in sys.stdin:
    word, *rest = line.split()
    if word == "reap":
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
    elif os.fork() == 0:
        try:
            run_fake(*rest)
        finally:
            os._exit(0)
"""


class LockedDocker:
    """A fake Docker that two threads may call."""

    def __init__(self) -> None:
        self.inner = FakeDocker()
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*words: Any, **options: Any) -> Any:
            with self._lock:
                return found(*words, **options)

        return call

    def names_of(self, stack: str) -> set[str]:
        """Return the names of all objects of a stack."""
        with self._lock:
            return {n for n in self.inner.names() if n.lstrip("/").startswith(f"{stack}_")}

    def remove(self, stack: str) -> None:
        """Remove all objects of a stack, as its own run's teardown does."""
        with self._lock:
            gone = self.names_of(stack)
            for kind in self.inner.objects.values():
                for name in gone & kind.keys():
                    del kind[name]


@dataclass
class FakeRun:
    """One fake run.

    Attributes:
        number: position in `FakeRuns.runs`.
        domain: the domain of its app.
        run: its id.
        state: "starting", "alive", "refused", "dying", "dead", "releasing" or "released".
        pid: its process, 0 while it is starting.
        orphan: a child that outlived it.
    """

    number: int
    domain: str
    run: str
    state: str = "starting"
    pid: int = 0
    orphan: subprocess.Popen[bytes] | None = None

    @property
    def stack(self) -> str:
        """The name of its app's stack."""
        return stack_name(self.domain)


class FakeRuns:
    """All fake runs, and random actions on them.

    Args:
        settings: the folders that they use.
        seed: of the random choices.
        domains: how many domains they share; with few, a name is soon used again.
    """

    def __init__(self, settings: Settings, seed: int, *, domains: int = 12) -> None:
        self.settings, self.docker = settings, LockedDocker()
        self.random = random.Random(seed)
        self.domains = [f"{number:06x}-hello.ci.test" for number in range(domains)]
        self.runs: list[FakeRun] = []
        self.counts: dict[str, int] = {}
        folders = {
            "CCCI_LOCK_DIR": settings.lock_dir,
            "CCCI_ACTIVE_DIR": settings.active_dir,
            "CCCI_SLOTS_DIR": settings.slots_dir,
            "CCCI_RUNS_DIR": settings.runs_dir,
        }
        env = {k: v for k, v in os.environ.items() if not k.startswith("CCCI_")}
        self.helper = subprocess.Popen(
            [sys.executable, "-c", HELPER],
            env={**env, "PYTHONPATH": str(CHECKOUT), **{k: str(v) for k, v in folders.items()}},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_changes, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Kill all of them."""
        for run in self.runs:
            if run.state in ("alive", "starting") and run.pid:
                os.kill(run.pid, signal.SIGKILL)
            if run.orphan is not None:
                run.orphan.kill()
                run.orphan.wait()
        self.helper.kill()
        self.helper.wait()
        self._reader.join(10)
        for stream in (self.helper.stdin, self.helper.stdout):
            if stream is not None:
                stream.close()

    def _read_changes(self) -> None:
        assert self.helper.stdout is not None
        for line in self.helper.stdout:
            word, number, pid = line.split()
            run = self.runs[int(number)]
            run.pid = int(pid)
            if word == "registered":
                self.docker.deploy(run.stack)
                run.state = "alive"
            else:
                run.state = word

    def _send(self, *words: object) -> None:
        assert self.helper.stdin is not None
        self.helper.stdin.write(" ".join(map(str, words)) + "\n")
        self.helper.stdin.flush()

    def in_state(self, *states: str) -> list[FakeRun]:
        """Return the runs that are in one of these states."""
        return [run for run in self.runs if run.state in states]

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- actions

    def act(self) -> None:
        """Take one action at random."""
        actions: list[Callable[[], None]] = [self.start, self.start, self.kill, self.release]
        actions += [
            self.start_with_a_live_owner,
            self.start_with_a_dead_owner,
            lambda: self._send("reap"),
        ]
        self.random.choice(actions)()

    def start(self) -> None:
        """Start a run with a domain that no live run has."""
        taken = {run.domain for run in self.in_state("starting", "alive")}
        free = [domain for domain in self.domains if domain not in taken]
        if free:
            self._start(self.random.choice(free))
            self._count("started")

    def start_with_a_live_owner(self) -> None:
        """Start a run with a live run's domain: it must be refused."""
        alive = self.in_state("alive")
        if alive:
            self._start(self.random.choice(alive).domain)
            self._count("started with the domain of a live run")

    def start_with_a_dead_owner(self) -> None:
        """Start a run with a dead run's domain: it waits for the janitor or is refused."""
        taken = {run.domain for run in self.in_state("starting", "alive", "releasing")}
        domains = [run.domain for run in self.in_state("dead")[-4:] if run.domain not in taken]
        if domains:
            self._start(self.random.choice(domains))
            self._count("started with the domain of a dead run")

    def _start(self, domain: str) -> None:
        run = FakeRun(len(self.runs), domain, f"run-{len(self.runs)}")
        self.runs.append(run)
        self._send("start", run.number, run.domain, run.stack, run.run)

    def kill(self) -> None:
        """Kill a live run; one in ten leaves a process behind."""
        alive = self.in_state("alive")
        if not alive:
            return
        run = self.random.choice(alive)
        if self.random.random() < 0.1:
            env = {
                "PATH": os.environ["PATH"],
                "CCCI_RUN": orphans.run_mark(self.settings.runs_dir / run.run),
            }
            run.orphan = subprocess.Popen(["sleep", "600"], env=env)
            self._count("left a process behind")
        run.state = "dying"
        os.kill(run.pid, signal.SIGKILL)
        wait.until(
            lambda: wait.Look("", None if orphans.running(run.pid) else True),
            what="the killed run to exit",
            timeout=10,
            every=0.001,
        )
        run.state = "dead"
        self._count("killed")

    def release(self) -> None:
        """Let a live run remove its app and exit."""
        alive = self.in_state("alive")
        if alive:
            run = self.random.choice(alive)
            run.state = "releasing"
            self.docker.remove(run.stack)
            os.kill(run.pid, signal.SIGUSR2)
            self._count("released")

    def settle(self) -> None:
        """Wait until every run that was started or released has printed it."""
        wait.until(
            lambda: wait.Look("", None if self.in_state("starting", "releasing") else True),
            what="the fake runs to settle",
            timeout=60,
            every=0.001,
        )

    def delete_old_directories(self) -> None:
        """Delete the directories of runs that are over and have no record, as a host does at times."""
        records = {record.run for record in registry.runs(self.settings)}
        for run in self.in_state("dead", "released", "refused"):
            if run.run not in records:
                shutil.rmtree(self.settings.runs_dir / run.run, ignore_errors=True)

    # -- checks

    def taken_from(self, alive: list[FakeRun]) -> list[str]:
        """Return what a sweep removed of runs that were alive before it and still are."""
        entries = {entry.run for entry in registry.entries(self.settings)}
        found = []
        for run in alive:
            if run.state != "alive":
                continue
            if run.run not in entries:
                found.append(f"the entry of live {run.run}")
            if len(self.docker.names_of(run.stack)) != 6:
                found.append(f"the app of live {run.run}")
        return found

    def left_of(self, dead: list[FakeRun]) -> list[str]:
        """Return what a sweep left of runs that were dead before it began."""
        entries = {entry.run for entry in registry.entries(self.settings)}
        records = {record.run for record in registry.runs(self.settings)}
        last = {run.domain: run for run in self.runs if run.state != "refused"}
        found = []
        for run in dead:
            if run.run in entries | records:
                found.append(f"the entry of dead {run.run}")
            if last[run.domain] is run and self.docker.names_of(run.stack):
                found.append(f"the app of dead {run.run}")
            if run.orphan is not None and run.orphan.poll() is None:
                found.append(f"a process of dead {run.run}")
        return found
