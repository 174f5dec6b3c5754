"""Fake runs, cheap enough for thousands: processes that register, hold, die or release, as real runs do.

One helper process forks them; what they say comes over its standard output, a line each.
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
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def live(number, domain, stack, run):
    folder = found.runs_dir / run
    folder.mkdir(parents=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    record = registry.begin(folder, run=run, recipe="hello")
    try:
        entry = registry.register(found, domain=domain, stack=stack, run=run, run_dir=folder,
                                  recipe="hello", life="fresh")
    except InfraError:
        registry.forget(found, record)
        say("refused", number, os.getpid())
        return
    say("held", number, os.getpid())
    signal.sigwait([signal.SIGUSR2])
    registry.forget(found, entry)
    registry.forget(found, record)
    say("released", number, os.getpid())
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
            live(*rest)
        finally:
            os._exit(0)
"""


class Engine:
    """The engine in memory, asked by two threads."""

    def __init__(self) -> None:
        self.inner = FakeDocker()
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def asked(*words: Any, **options: Any) -> Any:
            with self._lock:
                return found(*words, **options)

        return asked

    def of(self, stack: str) -> set[str]:
        """Return the names of what a stack has."""
        with self._lock:
            return {n for n in self.inner.names() if n.lstrip("/").startswith(f"{stack}_")}

    def drop(self, stack: str) -> None:
        """Remove what a stack has, as its own run's teardown does."""
        with self._lock:
            gone = self.of(stack)
            for kind in self.inner.objects.values():
                for name in gone & kind.keys():
                    del kind[name]


@dataclass
class Fake:
    """One fake run: starting, alive, refused, dead or released."""

    number: int
    domain: str
    run: str
    state: str = "starting"
    pid: int = 0
    orphan: subprocess.Popen[bytes] | None = None

    @property
    def stack(self) -> str:
        """The name of its stack."""
        return stack_name(self.domain)


class Crowd:
    """All fake runs, and what is done to them at random."""

    def __init__(self, settings: Settings, seed: int, *, names: int = 12) -> None:
        self.settings, self.engine = settings, Engine()
        self.random = random.Random(seed)
        self.names = [f"{number:06x}-hello.ci.test" for number in range(names)]
        self.runs: list[Fake] = []
        self.count: dict[str, int] = {}
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
        self._ears = threading.Thread(target=self._listen, daemon=True)
        self._ears.start()

    def close(self) -> None:
        """End all of them."""
        for run in self.runs:
            if run.state in ("alive", "starting") and run.pid:
                os.kill(run.pid, signal.SIGKILL)
            if run.orphan is not None:
                run.orphan.kill()
                run.orphan.wait()
        self.helper.kill()
        self.helper.wait()
        self._ears.join(10)
        for stream in (self.helper.stdin, self.helper.stdout):
            if stream is not None:
                stream.close()

    def _listen(self) -> None:
        assert self.helper.stdout is not None
        for line in self.helper.stdout:
            word, number, pid = line.split()
            run = self.runs[int(number)]
            run.pid = int(pid)
            if word == "held":
                self.engine.deploy(run.stack)
                run.state = "alive"
            else:
                run.state = word

    def _tell(self, *words: object) -> None:
        assert self.helper.stdin is not None
        self.helper.stdin.write(" ".join(map(str, words)) + "\n")
        self.helper.stdin.flush()

    def of(self, *states: str) -> list[Fake]:
        """Return the runs that are in one of these states."""
        return [run for run in self.runs if run.state in states]

    def _counted(self, what: str) -> None:
        self.count[what] = self.count.get(what, 0) + 1

    # -- what happens to them

    def act(self) -> None:
        """Do one thing at random."""
        actions: list[Callable[[], None]] = [self.start, self.start, self.kill, self.release]
        actions += [self.start_twice, self.start_on_a_grave, lambda: self._tell("reap")]
        self.random.choice(actions)()

    def start(self) -> None:
        """Start a run with a name that nobody living has."""
        taken = {run.domain for run in self.of("starting", "alive")}
        free = [name for name in self.names if name not in taken]
        if free:
            self._start(self.random.choice(free))
            self._counted("started")

    def start_twice(self) -> None:
        """Start a run with a name that a living run has: it must be refused."""
        alive = self.of("alive")
        if alive:
            self._start(self.random.choice(alive).domain)
            self._counted("started with a name that is taken")

    def start_on_a_grave(self) -> None:
        """Start a run with a name whose last owner is dead: it waits for the janitor or is refused."""
        taken = {run.domain for run in self.of("starting", "alive", "releasing")}
        graves = [run.domain for run in self.of("dead")[-4:] if run.domain not in taken]
        if graves:
            self._start(self.random.choice(graves))
            self._counted("started with the name of a dead one")

    def _start(self, domain: str) -> None:
        run = Fake(len(self.runs), domain, f"run-{len(self.runs)}")
        self.runs.append(run)
        self._tell("start", run.number, run.domain, run.stack, run.run)

    def kill(self) -> None:
        """End a living run by SIGKILL; some leave a process behind."""
        alive = self.of("alive")
        if not alive:
            return
        run = self.random.choice(alive)
        if self.random.random() < 0.1:
            env = {
                "PATH": os.environ["PATH"],
                "CCCI_RUN": orphans.run_mark(self.settings.runs_dir / run.run),
            }
            run.orphan = subprocess.Popen(["sleep", "600"], env=env)
            self._counted("left a process behind")
        run.state = "dying"
        os.kill(run.pid, signal.SIGKILL)
        wait.until(
            lambda: wait.Look("", None if orphans.running(run.pid) else True),
            what="a death",
            timeout=10,
            every=0.001,
        )
        run.state = "dead"
        self._counted("killed")

    def release(self) -> None:
        """Let a living run remove its app and end well."""
        alive = self.of("alive")
        if alive:
            run = self.random.choice(alive)
            run.state = "releasing"
            self.engine.drop(run.stack)
            os.kill(run.pid, signal.SIGUSR2)
            self._counted("ended well")

    def settle(self) -> None:
        """Wait until every run that was started or released has said so."""
        wait.until(
            lambda: wait.Look("", None if self.of("starting", "releasing") else True),
            what="the crowd",
            timeout=60,
            every=0.001,
        )

    def tidy(self) -> None:
        """Delete the directories of runs that are over and cleared, as a host does now and then."""
        records = {record.run for record in registry.runs(self.settings)}
        for run in self.of("dead", "released", "refused"):
            if run.run not in records:
                shutil.rmtree(self.settings.runs_dir / run.run, ignore_errors=True)

    # -- what must hold

    def wronged(self, alive: list[Fake]) -> list[str]:
        """Return what a sweep took from runs that lived all the time."""
        entries = {entry.run for entry in registry.entries(self.settings)}
        found = []
        for run in alive:
            if run.state != "alive":
                continue
            if run.run not in entries:
                found.append(f"the entry of live {run.run}")
            if len(self.engine.of(run.stack)) != 6:
                found.append(f"the app of live {run.run}")
        return found

    def missed(self, dead: list[Fake]) -> list[str]:
        """Return what a sweep left of runs that were dead before it began."""
        entries = {entry.run for entry in registry.entries(self.settings)}
        records = {record.run for record in registry.runs(self.settings)}
        last = {run.domain: run for run in self.runs if run.state != "refused"}
        found = []
        for run in dead:
            if run.run in entries | records:
                found.append(f"the entry of dead {run.run}")
            if last[run.domain] is run and self.engine.of(run.stack):
                found.append(f"the app of dead {run.run}")
            if run.orphan is not None and run.orphan.poll() is None:
                found.append(f"a process of dead {run.run}")
        return found
