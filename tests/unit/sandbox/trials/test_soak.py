"""The soak: which runs it makes, what counts as leak or drift; an interrupted soak keeps its runs."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from harness.naming import app_domain, app_token, stack_name
from harness.reporting import run_dir
from sandbox.host import engine
from sandbox.host.paths import CHECKOUT
from sandbox.trials import inventory, product, soak
from sandbox.trials.product import Finished, ProductError
from sandbox.trials.soak import Findings, SoakRun
from tests.faults import soak as soak_figures
from tests.support import figures

GAUGES = {"open files of dockerd": 90.0, "sockets": 300.0, "memory of dockerd (MiB)": 150.0}
GAUGES["processes"] = 160.0
SHA = "0123abcd" * 5


def done(
    number: int,
    gauges: Mapping[str, float] = MappingProxyType({}),
    *,
    seconds: float = 12.0,
    verdict: str = "passed",
) -> SoakRun:
    """Return a run of the soak."""
    return SoakRun(
        f"soak-1-{number}", "custom-html", "quick", SHA, verdict, "", seconds, {**GAUGES, **gauges}
    )


def test_the_mix_has_one_cold_run_of_each_recipe_in_twenty() -> None:
    assert Counter(soak.plan(100)) == {
        ("custom-html", "cold"): 5,
        ("miniflux", "cold"): 5,
        ("custom-html", "quick"): 45,
        ("miniflux", "quick"): 45,
    }
    assert [recipe for recipe, _ in soak.plan(4)] == ["custom-html", "miniflux"] * 2


def test_times_that_grow_are_drift() -> None:
    """The last third is compared with the first, by recipe and lane; one slow run is not drift."""
    steady = [done(n) for n in range(12)]
    assert soak.slower([*steady, done(12, seconds=60.0)]) == []
    growing = [done(n, seconds=10.0 + 2 * n) for n in range(12)]
    assert soak.slower(growing) == ["custom-html quick took 13.0 s at first, 29.0 s at last"]


def test_a_gauge_that_stays_high_is_drift() -> None:
    """A leak shows after each of the last runs; other work on the host does not."""
    name = "open files of dockerd"
    leaking = [done(n, {name: 90.0 + 3 * n}) for n in range(30)]
    assert soak.grown(GAUGES, leaking) == [f"{name}: 90 at first, 150 at last"]
    assert soak.grown(GAUGES, [*leaking, done(30, {name: 95.0})]) == []


def test_only_green_runs_of_one_kind_count_for_its_drift() -> None:
    """Nine runs at least; red runs and other recipes may take any time."""
    assert soak.slower([done(n, seconds=10.0 + 5 * n) for n in range(8)]) == []
    red = [done(n, seconds=99.0, verdict="recipe") for n in range(5)]
    other = [replace(done(n, seconds=99.0), recipe="miniflux") for n in range(5)]
    assert soak.slower([done(n) for n in range(12)] + red + other) == []
    half_more = [
        *(done(n, seconds=10.0) for n in range(6)),
        *(done(n, seconds=15.0) for n in range(6)),
    ]
    assert soak.slower(half_more) == []


@pytest.mark.parametrize("kind", ["red", "leaks", "unexplained", "drift"])
def test_any_finding_makes_a_soak_unclean(kind: str) -> None:
    nothing: dict[str, tuple[str, ...]] = dict.fromkeys(
        ("red", "leaks", "unexplained", "drift"), ()
    )
    assert Findings(**nothing).clean
    assert not Findings(**{**nothing, kind: ("x",)}).clean


class Host:
    """A host whose things can be changed between two inventories."""

    def __init__(self, **things: set[str]) -> None:
        self.things = things
        self.active: list[dict[str, Any]] = []
        self.commands: list[tuple[str, ...]] = []

    def take(self, *_: object) -> inventory.Inventory:
        """Return the inventory."""
        return {kind: frozenset(names) for kind, names in self.things.items()}

    def cc_ci(self, *words: str) -> Finished:
        """Record a command of the product."""
        self.commands.append(words)
        return Finished(0, "")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Replace the host by one in memory; nothing is waited for."""
    made = Host(volume={"old"})
    monkeypatch.setattr(inventory, "take", made.take)
    monkeypatch.setattr(inventory, "gauges", lambda: dict(GAUGES))
    monkeypatch.setattr(inventory, "active_apps", lambda: made.active)
    monkeypatch.setattr(engine, "api", lambda: None)
    monkeypatch.setattr(product, "cc_ci", made.cc_ci)
    monkeypatch.setattr(product, "head_of", lambda recipe: SHA)
    monkeypatch.setattr(soak, "SETTLE_TIMEOUT", 0.0)
    monkeypatch.setattr(soak, "POLL_INTERVAL", 0.0)
    return made


def test_only_things_of_our_runs_are_leaks(host: Host, tmp_path: Path) -> None:
    """A name of one of our runs is a leak; anything else that is new is listed as unexplained."""
    before = host.take()
    run = done(1)
    domain = app_domain(app_token("fresh", run.recipe, run.id, "0", run.ref), run.recipe, "ci.test")
    host.things["volume"] |= {f"{stack_name(domain)}_content", "somebody"}
    host.things["process"] = {"7 git of run /runs/soak-1-1"}
    host.things["temporary file"] = {"tmp1"}
    result = soak.compare(before, [run], GAUGES, tmp_path)
    assert result.leaks == (
        f"volume '{stack_name(domain)}_content'",
        "process '7 git of run /runs/soak-1-1'",
        "temporary file 'tmp1'",
    )
    assert result.unexplained == ("volume 'somebody'",)
    assert not result.clean


@pytest.mark.parametrize("life", ["fresh", "upgrade", "warm"])
def test_leftovers_of_every_life_are_leaks(host: Host, tmp_path: Path, life: str) -> None:
    """The name of its stack, or its domain, in any new thing."""
    before, run = host.take(), done(1)
    token = app_token(life, run.recipe, run.id, "0", run.ref)
    domain = app_domain(token, run.recipe, "ci.test")
    host.things["volume"] |= {f"{stack_name(domain)}_data"}
    host.things["entry"] = {domain}
    result = soak.compare(before, [run], GAUGES, tmp_path)
    assert len(result.leaks) == 2 and result.unexplained == ()


def test_swarm_gets_time_to_remove_things(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "SETTLE_TIMEOUT", 60.0)
    looks = iter([{"old", "going"}])

    def take(*_: object) -> inventory.Inventory:
        return {"volume": frozenset(next(looks, {"old"}))}

    monkeypatch.setattr(inventory, "take", take)
    before: inventory.Inventory = {"volume": frozenset({"old"})}
    assert soak.compare(before, [], GAUGES, tmp_path).clean


def test_leftovers_of_another_dead_run_are_unexplained(host: Host, tmp_path: Path) -> None:
    """Only the registry's entries of runs that are alive explain what is new."""
    before = host.take()
    host.things["volume"] |= {"a-x_ci_test_data"}
    found = soak.compare(before, [done(1)], GAUGES, tmp_path).unexplained
    assert found == ("volume 'a-x_ci_test_data'",)


def test_a_run_that_cannot_be_started_is_not_green(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed with its reason, and the soak continues."""

    def fails(*args: object, **more: object) -> None:
        raise ProductError("no python")

    monkeypatch.setattr(product, "run", fails)
    assert soak.soak(2, tmp_path / "soak.jsonl") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("miniflux: none: no python")]


def test_apps_of_other_live_runs_are_ignored(host: Host, tmp_path: Path) -> None:
    before = host.take()
    names = {"domain": "aaaaaa-x.ci.test", "stack": "aaaaaa-x_ci_test", "run_dir": "/runs/9"}
    host.active.append(names)
    host.things["volume"] |= {"aaaaaa-x_ci_test_data"}
    host.things["process"] = {"7 git of run /runs/9"}
    assert soak.compare(before, [done(1)], GAUGES, tmp_path) == Findings((), (), (), ())
    host.things["volume"] |= {"somebody"}
    found = soak.compare(before, [done(1)], GAUGES, tmp_path).unexplained
    assert found == ("volume 'somebody'",)


def test_an_interrupted_soak_keeps_and_shows_its_runs(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run is in the file when it has finished; it still sweeps, compares and prints the summary."""
    runs = iter([done(1), done(2)])

    def run(*_: object) -> SoakRun:
        for each in runs:
            return each
        raise KeyboardInterrupt

    monkeypatch.setattr(soak, "_run", run)
    file = tmp_path / "soak.jsonl"
    exit_code = soak.soak(5, file)
    lines = capsys.readouterr().out.splitlines()
    assert (exit_code, host.commands) == (2, [("janitor",)] * 2)
    assert "interrupted after 2 of 5 runs" in lines and "2 runs, 2 green" in lines
    assert lines[0].startswith("   1 of 5  ✓ custom-html  quick")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row.get("id") for row in rows] == ["soak-1-1", "soak-1-2", None]


def test_sigterm_interrupts_a_soak(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make and CI stop it by SIGTERM; the previous handler is restored afterwards."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(soak, "_run", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert soak.soak(5, tmp_path / "soak.jsonl") == 2
    assert signal.getsignal(signal.SIGTERM) == handler


def test_the_exit_code_follows_the_findings(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 only if all runs were green and nothing leaked."""
    monkeypatch.setattr(soak, "_run", lambda *_: done(1))
    assert soak.soak(2, tmp_path / "a.jsonl") == 0
    monkeypatch.setattr(soak, "_run", lambda *_: done(1, verdict="recipe"))
    assert soak.soak(2, tmp_path / "b.jsonl") == 1
    assert "not green: 2" in capsys.readouterr().out


def test_a_host_that_is_not_ready_is_an_error(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The janitor checks the host before it removes anything; the soak reports its message."""
    monkeypatch.setattr(product, "cc_ci", lambda *_: Finished(16, "cc-ci: the disk is full\n"))
    with pytest.raises(ProductError, match=r"^the disk is full$"):
        soak.soak(2, tmp_path / "a.jsonl")


def test_the_figures_of_a_soak_are_one_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kept = tmp_path / "soak.jsonl", tmp_path / "figures.jsonl"
    monkeypatch.setenv(figures.FIGURES, str(kept))
    row = {"recipe": "miniflux", "lane": "quick", "seconds": 21.5}
    result = {"red": [], "leaks": ["volume 'x'"], "unexplained": [], "drift": []}
    file.write_text("\n".join(json.dumps(each) for each in (row, row, result)))
    soak_figures.record(file)
    (trial,) = figures.load(kept)
    assert (trial.times, trial.seconds, trial.lost, trial.note) == (
        2,
        [21.5, 21.5],
        ["volume 'x'"],
        "miniflux quick 2",
    )


def test_only_red_runs_keep_their_directory(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred green runs must not leave a hundred directories."""
    temporary: list[str] = []
    monkeypatch.setattr(product, "run", lambda *args, environ: temporary.append(environ["TMPDIR"]))
    monkeypatch.setenv("CCCI_RUNS_DIR", str(tmp_path))
    source = CHECKOUT / "tests" / "data" / "events"
    queue = '"phase": "queue", "life": null, "seconds": '
    for name, verdict in (("green", "passed"), ("red-install", "recipe")):
        events = (source / f"{name}.jsonl").read_text()
        assert f"{queue}0.001" in events
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").write_text(
            events.replace(f"{queue}0.001", f"{queue}2.0")
        )
        whole = run_dir.write_all(tmp_path / name).seconds
        run = soak._run("custom-html", "cold", name, tmp_path)
        assert run.verdict == verdict
        assert run.seconds == pytest.approx(whole - 2.0, abs=0.01), "waiting for a slot is not slow"
    assert temporary == [str(tmp_path)] * 2, "files elsewhere could belong to other programs"
    assert [path.name for path in tmp_path.iterdir()] == ["red-install"]
