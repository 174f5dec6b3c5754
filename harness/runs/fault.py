"""Decides whose fault a failure is, after checking the host.

When the host has a problem, a failure says nothing about the recipe. A service that the kernel killed at
its own memory limit is the recipe's fault; without a limit the host ran out of memory.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from docker.errors import DockerException

from harness.host import resources
from harness.runs import preflight
from harness.runs.record import RunRecord
from harness.suites.outcome import Outcome
from harness.swarm import containers
from harness.swarm.containers import OomKill

UNCERTAIN_FAULTS = ("recipe", "suite", "timeout")  # a problem of the host may have caused them


def reconsider(run: RunRecord, outcome: Outcome) -> Outcome:
    """Return the outcome with its final fault; the message explains a change."""
    if outcome.fault not in UNCERTAIN_FAULTS:
        return outcome
    problem = run.recorder.write_error or preflight.host_problem(run.settings)
    if problem:
        return _hosts_fault(outcome, problem)
    killed = oom_kill(run)
    if killed is None:
        return outcome
    if not killed.limit:
        text = f"out of memory: the kernel killed service '{killed.service}'"
        return _hosts_fault(outcome, text)
    own = resources.size(killed.limit)
    text = f"service '{killed.service}' was killed at its own memory limit of {own}"
    return replace(outcome, message=f"{text}: {outcome.message}")


def _hosts_fault(outcome: Outcome, problem: str) -> Outcome:
    message = f"{problem} (test failed with: {outcome.message})"
    return replace(outcome, fault="infra", message=message)


def oom_kill(run: RunRecord) -> OomKill | None:
    """Return a service of the run that the kernel killed because memory ran out, or None."""
    host_killed = resources.oom_kills() > run.oom_kills
    found = (containers.oom_kill(stack, host_killed=host_killed) for stack in run.apps.stacks)
    with contextlib.suppress(DockerException, OSError):  # then the outcome stays as it is
        return next((kill for kill in found if kill), None)
    return None
