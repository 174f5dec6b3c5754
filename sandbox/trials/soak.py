"""The soak: run the demo recipes many times; compare the host before, between and after.

custom-html and miniflux take turns in the quick lane; the first two of every twenty runs are cold. Each run
is appended to a file as one JSON line when it has finished, and the last line holds the findings, so an
interrupted soak keeps and shows what it did.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contract.verdicts import Verdict
from sandbox.host import engine
from sandbox.host.shell import SetupError
from sandbox.trials import inventory, product
from sandbox.trials.inventory import Inventory
from sandbox.trials.product import ProductError, Report

RECIPES = ("custom-html", "miniflux")
COLD_INTERVAL = 20  # runs; the first two of each interval are cold, one of each recipe
SETTLE_TIMEOUT = 90.0  # seconds for Swarm to remove what it was asked to remove
POLL_INTERVAL = 1.0  # seconds
MAX_SLOWDOWN = 1.5  # times the median of the first third
MAX_GROWTH = {
    "open files of dockerd": 50.0,
    "sockets": 200.0,
    "memory of dockerd (MiB)": 200.0,
    "processes": 100.0,
}


@dataclass(frozen=True, slots=True)
class SoakRun:
    """One run of the soak, with its verdict, its seconds, and the gauges after it."""

    id: str
    recipe: str
    lane: str
    ref: str
    verdict: str
    reason: str
    seconds: float
    gauges: dict[str, float]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a soak found: red runs, leaks of its runs, other new things on the host, and drift."""

    red: tuple[str, ...]
    leaks: tuple[str, ...]
    unexplained: tuple[str, ...]
    drift: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """True if all runs were green and nothing leaked or drifted."""
        return not (self.red or self.leaks or self.unexplained or self.drift)


def plan(count: int) -> Iterator[tuple[str, str]]:
    """Yield recipe and lane of each run."""
    for number in range(count):
        yield RECIPES[number % 2], "cold" if number % COLD_INTERVAL < len(RECIPES) else "quick"


def soak(count: int, file: Path) -> int:
    """Run the demo recipes and report what leaked.

    Args:
        count: number of runs.
        file: gets one JSON line for each run, and one for the findings.

    Returns:
        Exit code: 0 if nothing was found, 1 if something was, 2 if interrupted.

    Raises:
        ProductError: the host is not ready for runs.
    """
    sweep()  # also checks the host
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    with tempfile.TemporaryDirectory(prefix="cc-ci-soak-") as folder:
        temporary = Path(folder)
        before, start = inventory.take(engine.api(), temporary), inventory.gauges()
        done = _runs(count, file, temporary)
        if len(done) < count:
            print(f"interrupted after {len(done)} of {count} runs", flush=True)
            sweep()
        found = compare(before, done, start, temporary)
        _append(file, asdict(found))
    print("\n".join(summary(done, found, start, inventory.gauges())), flush=True)
    return 2 if len(done) < count else int(not found.clean)


def sweep() -> None:
    """Let the product's janitor remove what dead runs left.

    Raises:
        ProductError: it could not.
    """
    done = product.cc_ci("janitor")
    if done.exit_code != 0:
        raise ProductError(done.output.strip().removeprefix("cc-ci: "))


def _runs(count: int, file: Path, temporary: Path) -> list[SoakRun]:
    """Run `count` times, or until interrupted; record and print each run as it finishes."""
    done: list[SoakRun] = []
    begin = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt), _signals_interrupt():
        for number, (recipe, lane) in enumerate(plan(count), 1):
            done.append(_run(recipe, lane, f"soak-{os.getpid()}-{number}", temporary))
            _append(file, asdict(done[-1]))
            print(_progress(done[-1], number, count, time.monotonic() - begin), flush=True)
    return done


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP act as Ctrl-C does."""
    names = (signal.SIGTERM, signal.SIGHUP)
    old = {name: signal.signal(name, signal.default_int_handler) for name in names}
    try:
        yield
    finally:
        for name, handler in old.items():
            signal.signal(name, handler)


def _append(file: Path, row: dict[str, object]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _run(recipe: str, lane: str, run_id: str, temporary: Path) -> SoakRun:
    """Run one recipe in a process of its own; the directory of a green run is removed."""
    options = ["--quick"] if lane == "quick" else []
    ref, folder = product.head_of(recipe), product.run_dir(run_id)
    try:
        product.run(recipe, run_id, *options, environ={"TMPDIR": str(temporary)})
        report = Report.read(folder)
    except SetupError as error:
        return SoakRun(run_id, recipe, lane, ref, "none", str(error), 0.0, inventory.gauges())
    if report.verdict is Verdict.PASSED:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(report.seconds - report.phases.get("queue", 0.0), 2)
    gauges = inventory.gauges()
    return SoakRun(run_id, recipe, lane, ref, report.verdict, report.reason, seconds, gauges)


def _progress(last: SoakRun, number: int, count: int, elapsed: float) -> str:
    left = elapsed / number * (count - number) / 60
    return (
        f"{number:4} of {count}  {'✓' if last.verdict == 'passed' else '✗'} {last.recipe:<12} "
        f"{last.lane:<6} {last.seconds:6.1f} s; about {left:.0f} min left"
    )


# %% Judging


def compare(
    before: Inventory, done: Sequence[SoakRun], start: dict[str, float], temporary: Path
) -> Findings:
    """Compare the host with how it was; what belongs to another run that is alive does not count.

    Args:
        before: the host before the first run.
        done: the runs.
        start: the gauges before the first run.
        temporary: folder of the runs' temporary files; only these runs use it, so every file in it is a leak.
    """
    items = _settled(before, temporary)
    leaks = tuple(item for item in items if _is_ours(item, done))
    return Findings(
        red=tuple(
            f"{r.id} {r.recipe}: {r.verdict}: {r.reason}" for r in done if r.verdict != "passed"
        ),
        leaks=leaks,
        unexplained=tuple(item for item in items if item not in leaks),
        drift=(*slower(done), *grown(start, done)),
    )


def _settled(before: Inventory, temporary: Path) -> list[str]:
    """Return what is new on the host, once Swarm has removed what it was asked to remove."""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while items := _new(before, temporary):
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_INTERVAL)
    return items


def _new(before: Inventory, temporary: Path) -> list[str]:
    after = inventory.take(engine.api(), temporary)
    others = tuple(
        name
        for entry in inventory.active_apps()
        for name in (entry["domain"], entry["stack"], f"of run {entry['run_dir']}")
    )
    added = inventory.added(before, after)
    return [item for item in added if not any(name in item for name in others)]


def _is_ours(item: str, done: Sequence[SoakRun]) -> bool:
    """Return True for a temporary file, or if an item names one of our runs or an app of our recipes."""
    recipes = "|".join(sorted({re.escape(run.recipe) for run in done}))
    app = re.search(rf"[0-9a-f]{{6}}-(?:{recipes})[._]", item) if recipes else None
    return bool(app) or item.startswith("temporary file ") or any(run.id in item for run in done)


def slower(done: Sequence[SoakRun]) -> list[str]:
    """Return each recipe and lane whose last third of green runs took much longer than the first third."""
    found = []
    for kind in dict.fromkeys((run.recipe, run.lane) for run in done):
        times = [r.seconds for r in done if (r.recipe, r.lane) == kind and r.verdict == "passed"]
        third = len(times) // 3
        if third >= 3:
            first, last = statistics.median(times[:third]), statistics.median(times[-third:])
            if last > first * MAX_SLOWDOWN:
                found.append(f"{' '.join(kind)} took {first:.1f} s at first, {last:.1f} s at last")
    return found


def grown(start: dict[str, float], done: Sequence[SoakRun]) -> list[str]:
    """Return each gauge that ends far above its start.

    The lowest value after the last ten runs counts: a leak shows in all of them, other work on the host
    does not.
    """
    found = []
    for name, most in MAX_GROWTH.items():
        last = min((run.gauges[name] for run in done[-10:]), default=start[name])
        if last - start[name] > most:
            found.append(f"{name}: {start[name]:.0f} at first, {last:.0f} at last")
    return found


# %% Summary


def summary(
    done: Sequence[SoakRun], found: Findings, start: dict[str, float], end: dict[str, float]
) -> list[str]:
    """Return the lines of the summary: times of each recipe and lane, gauges, findings."""
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
        ("leaked by our runs", found.leaks),
        ("new on the host, origin unknown", found.unexplained),
        ("drift", found.drift),
    ):
        lines.append(f"{title}: {len(items) if items else 'nothing'}")
        lines += [f"  {item}" for item in items]
    return lines
