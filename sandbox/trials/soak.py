"""The soak: the demo recipes again and again, the host looked at before, between and after.

Each run is a line in a file at once, and the last line is what was found, so a soak that is interrupted
keeps and shows what it did. The mix:
custom-html and miniflux in turn, in the quick lane; the first two of every twenty runs are cold.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import CcCiError, TimedOut
from harness.host import proc, wait
from harness.naming import app_domain, stack_name, unique
from harness.reporting import run_dir
from harness.runs import janitor, registry
from harness.settings import CHECKOUT, Settings
from harness.swarm import engine
from sandbox.trials import inventory, zoo
from sandbox.trials.inventory import Inventory

RECIPES = ("custom-html", "miniflux")
COLD_OF = 20  # the first two of so many runs are cold, one of each recipe
PATIENCE = 90.0  # seconds for Swarm to forget what it was told to remove
SLOWER = 1.5  # times the first third's median: more is drift
CREEP = {"open files of dockerd": 50.0, "sockets": 200.0, "memory of dockerd (MiB)": 200.0}
CREEP["processes"] = 100.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """One run of the soak: what it was, how it ended, its seconds, and the gauges after it."""

    id: str
    recipe: str
    lane: str
    ref: str
    verdict: str
    reason: str
    seconds: float
    gauges: dict[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """What a soak found: runs that were not green, leaks of its own, differences nobody explains, drift."""

    red: tuple[str, ...]
    leaks: tuple[str, ...]
    unexplained: tuple[str, ...]
    drift: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether all was green and nothing was left or crept."""
        return not (self.red or self.leaks or self.unexplained or self.drift)


def plan(count: int) -> Iterator[tuple[str, str]]:
    """Yield recipe and lane of so many runs."""
    for number in range(count):
        yield RECIPES[number % 2], "cold" if number % COLD_OF < len(RECIPES) else "quick"


def soak(settings: Settings, count: int, file: Path, say: Say) -> int:
    """Run so many times and tell what was left; 0 when nothing was, 2 when interrupted.

    file: where each run is kept, a line of JSON each.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    with tempfile.TemporaryDirectory(prefix="cc-ci-soak-") as folder:
        temporary = Path(folder)
        before = inventory.take(settings, engine.client(), temporary)
        start = inventory.gauges()
        done = _runs(settings, count, file, temporary, say)
        if len(done) < count:
            say(f"interrupted after {len(done)} of {count} runs")
            finish = run_dir.finish_dead
            janitor.sweep(settings, engine.client(), own_run="", progress=say, finish=finish)
        found = compare(settings, before, done, start, temporary)
        _append(file, asdict(found))
    for line in tell(done, found, start, inventory.gauges()):
        say(line)
    return 2 if len(done) < count else int(not found.clean)


def _runs(settings: Settings, count: int, file: Path, temporary: Path, say: Say) -> list[Done]:
    """Run so many times, or until interrupted; each run is kept and told as it ends."""
    done: list[Done] = []
    begun = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        for number, (recipe, lane) in enumerate(plan(count), 1):
            session = f"soak-{os.getpid()}-{number}"
            done.append(_run(settings, recipe, lane, session, temporary))
            _append(file, asdict(done[-1]))
            say(_progress(done[-1], number, count, time.monotonic() - begun))
    return done


def _append(file: Path, row: dict[str, object]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _run(settings: Settings, recipe: str, lane: str, session: str, temporary: Path) -> Done:
    """Run one recipe in a process of its own; the directory of a green run is removed."""
    ref = zoo.head_of(settings, recipe)
    words = [sys.executable, "-m", "pytest", "recipes_tests", "-p", "no:cacheprovider"]
    words += ["--recipe", recipe, "--ref", ref, *(["--quick"] if lane == "quick" else [])]
    env = {**os.environ, "DRONE_BUILD_NUMBER": session, "TMPDIR": str(temporary)}
    try:
        proc.run(words, timeout=zoo.RUN_TIMEOUT, env=env, cwd=CHECKOUT, check=False)
    except CcCiError as error:
        return Done(session, recipe, lane, ref, "none", str(error), 0.0, inventory.gauges())
    folder = settings.runs_dir / session
    told = run_dir.read(folder)
    if told.verdict.value == "passed":
        shutil.rmtree(folder, ignore_errors=True)
    busy = told.seconds - told.phases.get("queue", 0.0)
    gauges = inventory.gauges()
    return Done(session, recipe, lane, ref, told.verdict.value, told.reason, round(busy, 2), gauges)


def _progress(last: Done, number: int, count: int, elapsed: float) -> str:
    left = elapsed / number * (count - number) / 60
    return (
        f"{number:4} of {count}  {'✓' if last.verdict == 'passed' else '✗'} {last.recipe:<12} "
        f"{last.lane:<6} {last.seconds:6.1f} s; {left:.0f} min to go"
    )


# %% Judging


def compare(
    settings: Settings,
    before: Inventory,
    done: Sequence[Done],
    start: dict[str, float],
    temporary: Path,
) -> Result:
    """Compare the host with how it was; what belongs to a run that lives now is no difference.

    A temporary file is always ours: nobody else uses the soak's folder.
    """
    own = tuple(name for run in done for name in _names(settings, run))
    own += ("temporary file ",)

    def new() -> list[str]:
        after = inventory.take(settings, engine.client(), temporary)
        foreign = _of_others(settings)
        return [item for item in inventory.added(before, after) if not _names_any(item, foreign)]

    def look() -> wait.Look[bool]:
        items = new()
        return wait.Look(f"{len(items)} thing(s) more than before", None if items else True)

    with contextlib.suppress(TimedOut):
        wait.until(look, what="the host to be as before", timeout=PATIENCE, every=1.0)
    items = new()
    leaks = tuple(item for item in items if _names_any(item, own))
    return Result(
        red=tuple(
            f"{r.id} {r.recipe}: {r.verdict}: {r.reason}" for r in done if r.verdict != "passed"
        ),
        leaks=leaks,
        unexplained=tuple(item for item in items if item not in leaks),
        drift=(*slower(done), *creep(start, done)),
    )


def _names(settings: Settings, run: Done) -> list[str]:
    """Return what a thing of this run has in its name: its id, and its apps' stacks and domains."""
    names = [run.id]
    for life in ("fresh", "upgrade", "warm"):
        domain = app_domain(
            unique(life, run.recipe, run.id, "0", run.ref), run.recipe, settings.apps_domain
        )
        names += [domain, stack_name(domain)]
    return names


def _of_others(settings: Settings) -> tuple[str, ...]:
    """Return the names of apps and runs that live now."""
    live = [e for e in registry.entries(settings) if registry.owner_alive(settings, e)]
    named = [name for e in live for name in (e.domain, e.stack, f"of run {e.run}")]
    return tuple(name for name in named if name)


def _names_any(item: str, names: Sequence[str]) -> bool:
    return any(name in item for name in names)


def slower(done: Sequence[Done]) -> list[str]:
    """Return each recipe and lane whose last third took much longer than its first."""
    found = []
    for kind in dict.fromkeys((run.recipe, run.lane) for run in done):
        times = [r.seconds for r in done if (r.recipe, r.lane) == kind and r.verdict == "passed"]
        third = len(times) // 3
        if third >= 3:
            first, last = statistics.median(times[:third]), statistics.median(times[-third:])
            if last > first * SLOWER:
                found.append(f"{' '.join(kind)} took {first:.1f} s at first, {last:.1f} s at last")
    return found


def creep(start: dict[str, float], done: Sequence[Done]) -> list[str]:
    """Return each gauge that ends far above where it began.

    The least of the last runs counts: a leak is in all of them, what others do at the moment is not.
    """
    found = []
    for name, most in CREEP.items():
        last = min((run.gauges[name] for run in done[-10:]), default=start[name])
        if last - start[name] > most:
            found.append(f"{name}: {start[name]:.0f} at first, {last:.0f} at last")
    return found


# %% Recorder


def tell(
    done: Sequence[Done], found: Result, start: dict[str, float], end: dict[str, float]
) -> list[str]:
    """Return the summary: times of each kind, gauges, and everything that is not as it should be."""
    lines = [f"{len(done)} runs, {len(done) - len(found.red)} green"]
    for kind in dict.fromkeys((run.recipe, run.lane) for run in done):
        times = [run.seconds for run in done if (run.recipe, run.lane) == kind]
        lines.append(
            f"  {' '.join(kind):<18} {len(times):4} times, median {statistics.median(times):.1f} s, "
            f"{min(times):.1f} to {max(times):.1f} s"
        )
    lines += [f"  {name:<25} {start[name]:8.0f} → {end[name]:.0f}" for name in start]
    for title, items in (
        ("not green", found.red),
        ("left behind", found.leaks),
        ("more than before, of nobody we know", found.unexplained),
        ("drift", found.drift),
    ):
        lines.append(f"{title}: {'nothing' if not items else len(items)}")
        lines += [f"  {item}" for item in items]
    return lines
