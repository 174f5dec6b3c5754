"""Runs that are brought to a stage and held there, and what their reports must say when they end there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.naming import app_domain, stack_name, unique
from harness.swarm import engine
from tests.faults.conftest import Start
from tests.faults.fault_env import WHERE, FaultEnv, HeldRun


@contextmanager
def volume_in_use(run: HeldRun) -> Iterator[None]:
    """Keep a volume of the run's app busy, so that its teardown cannot come to an end."""
    api = engine.client()
    token = unique("fresh", run.recipe, run.id, "0", run.ref)
    stack = stack_name(app_domain(token, run.recipe, run.place.settings.apps_domain))
    made = api.create_container(
        "ccci/nginx:1.22.1",
        command=["sleep", "600"],
        entrypoint=[],
        host_config=api.create_host_config(binds=[f"{stack}_content:/held"]),
    )
    try:
        api.start(made["Id"])
        yield
    finally:
        api.remove_container(made["Id"], force=True)


@contextmanager
def held(place: FaultEnv, start: Start, stage: str, **options: object) -> Iterator[HeldRun]:
    """Start a run and bring it to a stage; it goes on only when the block ends."""
    workers = ("-n", "2") if options.pop("workers", False) else ()
    stages = place.stop_at("seed" if stage == "teardown" else stage)
    run = start("--stages", stages, *workers, **options)
    run.until_held()
    if stage != "teardown":
        yield run
    else:
        with volume_in_use(run):
            place.go_on()
            place.release()
            run.until(lambda: only_its_volume_is_left(run), "its teardown")
            yield run
    place.go_on()


def only_its_volume_is_left(run: HeldRun) -> bool:
    """Say whether the app's teardown has come as far as the volume that is in use."""
    kinds = {name.partition(" ")[0] for name in run.left()}
    return "volume" in kinds and not {"service", "container", "network"} & kinds


def check_report(run: HeldRun, verdict: str, stage: str) -> None:
    """Require a readable report with this verdict that says where the run ended."""
    found = run.checked_report()
    assert found.verdict.value == verdict, found.reason
    where = found.interrupted_in or found.stage
    wanted = {WHERE.get(stage, stage)} if stage != "fetch" else {"before its first stage", ""}
    assert where in wanted or (stage == "fetch" and verdict == "infra"), (where, found.reason)
