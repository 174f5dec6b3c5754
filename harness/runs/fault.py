"""Whose fault a failure is, after a look at the host it happened on.

On a host in trouble a failure says nothing about the recipe. A service that the kernel ended at a
memory limit of its own is the recipe's affair; one without a limit met the host's.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from docker.errors import DockerException

from harness.host import resources
from harness.runs import preflight
from harness.runs.run import Run
from harness.suites.outcome import Outcome
from harness.swarm import containers
from harness.swarm.containers import OomKill

MAYBE_THE_HOST = ("recipe", "suite", "timeout")  # faults that a host in trouble may have caused


def reconsider(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome with whose fault it is, and why where that is not the one blamed first."""
    if outcome.fault not in MAYBE_THE_HOST:
        return outcome
    trouble = run.recorder.trouble or preflight.trouble(run.settings)
    if trouble:
        return _of_the_host(outcome, trouble)
    killed = oom_kill(run)
    if killed is None:
        return outcome
    if not killed.limit:
        text = f"the kernel ended service '{killed.service}' because memory ran out"
        return _of_the_host(outcome, text)
    own = resources.size(killed.limit)
    text = f"service '{killed.service}' was ended at its own memory limit of {own}"
    return replace(outcome, message=f"{text}: {outcome.message}")


def _of_the_host(outcome: Outcome, trouble: str) -> Outcome:
    return replace(outcome, fault="infra", message=f"{trouble}; by then: {outcome.message}")


def oom_kill(run: Run) -> OomKill | None:
    """Return a service of the run that the kernel ended for want of memory, or None."""
    host_killed = resources.oom_kills() > run.oom_kills
    found = (containers.oom_kill(stack, host_killed=host_killed) for stack in run.apps.stacks)
    with contextlib.suppress(DockerException, OSError):  # what failed stays as it was judged
        return next((kill for kill in found if kill), None)
    return None
