"""Stage cleanup: nothing of the run is left on the host."""

from __future__ import annotations

from harness.errors import InfraError
from harness.runs.run import Run
from harness.swarm import engine, remove


def leave_no_trace(run: Run) -> None:
    """Tear down what is left, then look for anything that has a name of this run.

    Raises:
        InfraError: names what could not be removed.
    """
    apps = list(run.apps.by_life.values())
    left = [item for app in apps for item in run.apps.tear_down(app)]
    left += [item for stack in run.apps.stacks for item in remove.leftovers(engine.client(), stack)]
    if left:
        names = ", ".join(sorted({f"{item.kind} '{item.name}'" for item in left}))
        raise InfraError(f"the run left behind: {names}; `cc-ci janitor` removes what it can")
