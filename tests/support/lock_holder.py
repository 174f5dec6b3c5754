"""Another process that holds a lock, a run's record or an app's registry entry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness import settings
from harness.host import orphans
from harness.host.lock import Owner
from harness.settings import CHECKOUT, Settings

HOLD = """
import os, sys
from pathlib import Path
from harness import settings
from harness.host import lock
from harness.runs import registry
found = settings.load(os.environ)
what = sys.argv[1]
if what == "lock":
    held = lock.try_take(Path(sys.argv[2]), lock.Owner.me(run="run-7", recipe="hello"))
else:
    folder = Path(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    record = registry.begin(folder, run="run-7", recipe="hello")
    held = what == "run" or registry.register(
        found, domain=sys.argv[2], stack=sys.argv[3], run="run-7",
        run_dir=folder, recipe="hello", life="fresh")
print("held" if held else "refused", flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that holds something until it is killed.

    Args:
        here: the settings with which it runs.
        words: "lock" and a path; "app", domain, stack and run directory; or "run", "", "" and run directory.
        run: the run whose mark its environment has; none if empty.

    Attributes:
        answer: "held", or "refused" if another process holds it.
    """

    def __init__(self, here: Settings, *words: str, run: str = "") -> None:
        env = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "CCCI_ACTIVE_DIR": str(here.active_dir),
            "CCCI_RUN": orphans.run_mark(here.runs_dir / run) if run else "",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, *words],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.answer = self.process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill it by SIGKILL."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def settings_below(folder: Path) -> Settings:
    """Create folders for runs, locks, slots and registry below this one; return settings that name them."""
    folders = {
        "CCCI_LOCK_DIR": "lock",
        "CCCI_ACTIVE_DIR": "active",
        "CCCI_SLOTS_DIR": "slots",
        "CCCI_RUNS_DIR": "runs",
    }
    for name in folders.values():
        (folder / name).mkdir()
    return settings.load({key: str(folder / name) for key, name in folders.items()})


def me() -> Owner:
    """Return this process as an owner."""
    return Owner.me(run="run-8", recipe="hello")
