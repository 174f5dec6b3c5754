"""The soak: what it runs, what it calls a leak, a drift, a creep; nothing it did is lost."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import settings
from harness.errors import InfraError
from harness.naming import app_domain, stack_name, unique
from harness.reporting import run_dir
from harness.runs import janitor, registry
from harness.swarm import engine
from sandbox.trials import inventory, soak, zoo
from sandbox.trials.soak import Done, Result
from tests.faults import soak as soak_figures
from tests.support import figures

GAUGES = {"open files of dockerd": 90.0, "sockets": 300.0, "memory of dockerd (MiB)": 150.0}
GAUGES["processes"] = 160.0
SHA = "0123abcd" * 5


def done(number: int, *, seconds: float = 12.0, verdict: str = "passed", **gauges: float) -> Done:
    """Return a run of the soak."""
    return Done(
        f"soak-1-{number}", "custom-html", "quick", SHA, verdict, "", seconds, {**GAUGES, **gauges}
    )


def test_the_mix_is_as_told() -> None:
    """The recipes in turn; of twenty runs two are cold, one of each recipe."""
    assert Counter(soak.plan(100)) == {
        ("custom-html", "cold"): 5,
        ("miniflux", "cold"): 5,
        ("custom-html", "quick"): 45,
        ("miniflux", "quick"): 45,
    }
    assert [recipe for recipe, _ in soak.plan(4)] == ["custom-html", "miniflux"] * 2


def test_times_that_grow_are_drift() -> None:
    """The last third against the first, by recipe and lane; a single slow run is none."""
    steady = [done(n) for n in range(12)]
    assert soak.slower([*steady, done(12, seconds=60.0)]) == []
    growing = [done(n, seconds=10.0 + 2 * n) for n in range(12)]
    assert soak.slower(growing) == ["custom-html quick took 13.0 s at first, 29.0 s at last"]


def test_a_gauge_that_stays_high_is_told() -> None:
    """What is in all of the last runs is a leak; what others do at the moment is not."""
    name = "open files of dockerd"
    leaking = [done(n, **{name: 90.0 + 3 * n}) for n in range(30)]
    assert soak.creep(GAUGES, leaking) == [f"{name}: 90 at first, 150 at last"]
    assert soak.creep(GAUGES, [*leaking, done(30, **{name: 95.0})]) == []


def test_only_green_runs_of_one_kind_tell_its_drift() -> None:
    """Nine runs at least; a red one may have taken as long as it liked, another recipe's too."""
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
def test_a_soak_is_clean_only_without_any_finding(kind: str) -> None:
    """Each kind of finding alone is one."""
    nothing: dict[str, tuple[str, ...]] = dict.fromkeys(
        ("red", "leaks", "unexplained", "drift"), ()
    )
    assert Result(**nothing).clean
    assert not Result(**{**nothing, kind: ("x",)}).clean


class Host:
    """A host whose things can be changed between two looks."""

    def __init__(self, **things: set[str]) -> None:
        self.things = things

    def take(self, *_: object) -> inventory.Inventory:
        """Return what is there."""
        return {kind: frozenset(names) for kind, names in self.things.items()}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host in memory, and no patience."""
    made = Host(volume={"old"})
    monkeypatch.setattr(inventory, "take", made.take)
    monkeypatch.setattr(inventory, "gauges", lambda: dict(GAUGES))
    monkeypatch.setattr(engine, "client", lambda: None)
    monkeypatch.setattr(soak, "PATIENCE", 0.0)
    monkeypatch.setattr(registry, "entries", lambda settings: [])
    return made


def test_what_was_left_is_told_from_what_is_of_nobody_we_know(host: Host, tmp_path: Path) -> None:
    """A name of one of our runs is a leak; anything else that is new is named too."""
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})
    before = host.take()
    run = done(1)
    stack = soak._names(found, run)[-1]
    host.things["volume"] |= {f"{stack}_content", "somebody"}
    host.things["process"] = {"7 git of run soak-1-1"}
    host.things["temporary file"] = {"tmp1"}
    result = soak.compare(found, before, [run], GAUGES, tmp_path)
    assert result.leaks == (
        f"volume '{stack}_content'",
        "process '7 git of run soak-1-1'",
        "temporary file 'tmp1'",
    )
    assert result.unexplained == ("volume 'somebody'",)
    assert not result.clean


@pytest.mark.parametrize("life", ["fresh", "upgrade", "warm"])
def test_what_any_life_of_a_run_left_is_its_leak(host: Host, tmp_path: Path, life: str) -> None:
    """Its stack's name, or its domain, in whatever is there."""
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})
    before, run = host.take(), done(1)
    token = unique(life, run.recipe, run.id, "0", run.ref)
    domain = app_domain(token, run.recipe, found.apps_domain)
    host.things["volume"] |= {f"{stack_name(domain)}_data"}
    host.things["entry"] = {domain}
    result = soak.compare(found, before, [run], GAUGES, tmp_path)
    assert len(result.leaks) == 2 and result.unexplained == ()


@pytest.mark.usefixtures("moving_clock")
def test_what_swarm_still_removes_is_waited_for(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thing that goes while the soak looks was not left behind."""
    monkeypatch.setattr(soak, "PATIENCE", 60.0)
    looks = iter([{"old", "going"}])

    def take(*_: object) -> inventory.Inventory:
        return {"volume": frozenset(next(looks, {"old"}))}

    monkeypatch.setattr(inventory, "take", take)
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})
    before: inventory.Inventory = {"volume": frozenset({"old"})}
    assert soak.compare(found, before, [], GAUGES, tmp_path).clean


def test_what_a_dead_run_left_is_nobodys_excuse(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry whose owner does not live explains nothing."""
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})
    before = host.take()
    entry = registry.Entry("a-x.ci.test", "a-x_ci_test", "9", "/x", "x", "fresh", 1, "1", "b", 0.0)
    monkeypatch.setattr(registry, "entries", lambda settings: [entry])
    monkeypatch.setattr(registry, "owner_alive", lambda settings, entry: False)
    host.things["volume"] |= {"a-x_ci_test_data"}
    told = soak.compare(found, before, [done(1)], GAUGES, tmp_path).unexplained
    assert told == ("volume 'a-x_ci_test_data'",)


def test_a_run_that_cannot_be_made_is_not_green(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told with its reason, and the soak goes on."""
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})

    def fails(*args: object, **more: object) -> None:
        raise InfraError("no python")

    monkeypatch.setattr(zoo, "head_of", lambda settings, recipe: SHA)
    monkeypatch.setattr("harness.host.proc.run", fails)
    said: list[str] = []
    assert soak.soak(found, 2, tmp_path / "soak.jsonl", said.append) == 1
    assert [line for line in said if line.endswith("miniflux: none: no python")]


def test_what_lives_now_is_no_difference(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may work beside the soak."""
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})
    before = host.take()
    entry = registry.Entry(
        "aaaaaa-x.ci.test", "aaaaaa-x_ci_test", "9", "/x", "x", "fresh", 1, "1", "b", 0.0
    )
    record = registry.Entry("", "", "9", "/x", "x", "", 1, "1", "b", 0.0)
    monkeypatch.setattr(registry, "entries", lambda settings: [record, entry])
    monkeypatch.setattr(registry, "owner_alive", lambda settings, entry: True)
    host.things["volume"] |= {"aaaaaa-x_ci_test_data"}
    assert soak.compare(found, before, [done(1)], GAUGES, tmp_path) == Result((), (), (), ())
    host.things["volume"] |= {"somebody"}
    told = soak.compare(found, before, [done(1)], GAUGES, tmp_path).unexplained
    assert told == ("volume 'somebody'",)


def test_a_soak_that_is_interrupted_keeps_and_shows_what_it_did(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is in the file at once; the summary and the comparison follow all the same."""
    runs = iter([done(1), done(2)])

    def run(*_: object) -> Done:
        for each in runs:
            return each
        raise KeyboardInterrupt

    swept: list[Any] = []
    monkeypatch.setattr(soak, "_run", run)
    monkeypatch.setattr(janitor, "sweep", lambda *args, **more: swept.append(args))
    said: list[str] = []
    file = tmp_path / "soak.jsonl"
    status = soak.soak(settings.load({"CCCI_SETTINGS": "/dev/null"}), 5, file, said.append)
    assert (status, len(swept)) == (2, 1)
    assert "interrupted after 2 of 5 runs" in said and "2 runs, 2 green" in said
    assert said[0].startswith("   1 of 5  ✓ custom-html  quick")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row.get("id") for row in rows] == ["soak-1-1", "soak-1-2", None]


def test_a_whole_soak_ends_by_what_it_found(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 only when all was green and nothing left."""
    found = settings.load({"CCCI_SETTINGS": "/dev/null"})
    monkeypatch.setattr(soak, "_run", lambda *_: done(1))
    assert soak.soak(found, 2, tmp_path / "a.jsonl", lambda line: None) == 0
    monkeypatch.setattr(soak, "_run", lambda *_: done(1, verdict="recipe"))
    said: list[str] = []
    assert soak.soak(found, 2, tmp_path / "b.jsonl", said.append) == 1
    assert "not green: 2" in said


def test_the_figures_of_a_soak_tell_its_runs_and_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row, with every run's time; what was left stands in it."""
    file, kept = tmp_path / "soak.jsonl", tmp_path / "figures.jsonl"
    monkeypatch.setenv(figures.FIGURES, str(kept))
    row = {"recipe": "miniflux", "lane": "quick", "seconds": 21.5}
    result = {"red": [], "leaks": ["volume 'x'"], "unexplained": [], "drift": []}
    file.write_text("\n".join(json.dumps(each) for each in (row, row, result)))
    soak_figures.record(file)
    (told,) = figures.load(kept)
    assert (told.times, told.seconds, told.lost, told.note) == (
        2,
        [21.5, 21.5],
        ["volume 'x'"],
        "miniflux quick 2",
    )


def test_the_inventory_tells_new_and_gone() -> None:
    """By kind and name."""
    before = {"volume": frozenset({"a", "b"})}
    after = {"volume": frozenset({"b", "c"}), "secret": frozenset({"s"})}
    assert inventory.added(before, after) == ["volume 'c'", "secret 's'"]
    assert inventory.missing(before, after) == ["volume 'a'"]


def test_a_red_run_is_kept_and_a_green_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A soak of a hundred leaves no hundred directories."""
    monkeypatch.setattr(zoo, "head_of", lambda settings, recipe: SHA)
    monkeypatch.setattr(inventory, "gauges", lambda: dict(GAUGES))
    given: list[str] = []
    monkeypatch.setattr(
        "harness.host.proc.run", lambda *args, env, **more: given.append(env["TMPDIR"])
    )
    found = settings.load({"CCCI_RUNS_DIR": str(tmp_path), "CCCI_SETTINGS": "/dev/null"})
    source = Path(__file__).resolve().parents[2] / "data" / "events"
    queue = '"phase": "queue", "life": null, "seconds": '
    for name, verdict in (("green", "passed"), ("red-install", "recipe")):
        events = (source / f"{name}.jsonl").read_text()
        assert f"{queue}0.001" in events
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").write_text(
            events.replace(f"{queue}0.001", f"{queue}2.0")
        )
        whole = run_dir.read(tmp_path / name).seconds
        run = soak._run(found, "custom-html", "cold", name, tmp_path)
        assert run.verdict == verdict
        assert run.seconds == pytest.approx(whole - 2.0, abs=0.01), "waiting for a slot is not slow"
    assert given == [str(tmp_path)] * 2, "what it leaves in its temporary folder could not be told"
    assert [path.name for path in tmp_path.iterdir()] == ["red-install"]
