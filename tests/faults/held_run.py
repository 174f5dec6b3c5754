"""Start a run and hold it at a stage; check the report of a run that was stopped there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

from harness.naming import app_domain, app_token, stack_name
from harness.swarm import engine
from tests.faults.conftest import Start
from tests.faults.fault_env import FaultEnv, HeldRun, ProcessOptions

STAGES_IN_REPORT = {"deploy": "install", "seed": "install", "teardown": "cleanup"}


@contextmanager
def volume_in_use(run: HeldRun) -> Iterator[None]:
    """Use a volume of the run's app in another container, so that its teardown cannot finish."""
    api = engine.client()
    token = app_token("fresh", run.recipe, run.id, "0", run.ref)
    stack = stack_name(app_domain(token, run.recipe, run.fault_env.settings.apps_domain))
    container = api.create_container(
        "ccci/nginx:1.22.1",
        command=["sleep", "600"],
        entrypoint=[],
        host_config=api.create_host_config(binds=[f"{stack}_content:/held"]),
    )
    try:
        api.start(container["Id"])
        yield
    finally:
        api.remove_container(container["Id"], force=True)


@contextmanager
def held_run(
    fault_env: FaultEnv,
    start: Start,
    stage: str,
    *,
    workers: bool = False,
    **process: Unpack[ProcessOptions],
) -> Iterator[HeldRun]:
    """Start a run and hold it at a stage for the length of a block.

    Args:
        fault_env: has the recipe and the wrappers.
        start: the fixture.
        stage: a key of `HOLD_POINTS`, or "teardown".
        workers: run with `-n 2`.
        process: further arguments of `RunProcess`.
    """
    workers_option = ("-n", "2") if workers else ()
    stages = fault_env.hold_at("seed" if stage == "teardown" else stage)
    run = start("--stages", stages, *workers_option, **process)
    run.until_held()
    if stage != "teardown":
        yield run
    else:
        with volume_in_use(run):
            fault_env.hold_nothing()
            fault_env.release()
            run.until(lambda: only_the_volume_is_left(run), "its teardown")
            yield run
    fault_env.hold_nothing()


def only_the_volume_is_left(run: HeldRun) -> bool:
    """Return True if the app's teardown has removed everything but the volume that is in use."""
    kinds = {name.partition(" ")[0] for name in run.leftovers()}
    return "volume" in kinds and not {"service", "container", "network"} & kinds


def check_report(run: HeldRun, verdict: str, stage: str) -> None:
    """Require a readable report with this verdict that names the stage in which the run ended."""
    found = run.checked_report()
    assert found.verdict.value == verdict, found.reason
    if stage == "fetch" and verdict == "infra":
        return
    expected = {STAGES_IN_REPORT.get(stage, stage)}
    if stage == "fetch":
        expected = {"before its first stage", ""}
    where = found.interrupted_in or found.stage
    assert where in expected, (where, found.reason)
