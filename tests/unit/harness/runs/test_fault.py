"""Whose fault a failure is, after checking the host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import APIError

from harness.host import resources
from harness.runs import fault, preflight
from harness.runs.record import RunRecord
from harness.suites.outcome import Outcome
from harness.swarm import engine as swarm
from tests.support.bare_run import bare_run

FAILED = Outcome("fail", "recipe", "service 'app' is crash-looping")
MIB = 1024**2


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunRecord]:
    """A run with one stack, on a host without problems."""
    monkeypatch.setattr(preflight, "host_problem", lambda settings: "")
    made = bare_run(tmp_path, lambda line: None)
    made.apps.stacks.append("stack")
    yield made
    made.recorder.close()


def died(
    monkeypatch: pytest.MonkeyPatch, *, oom: bool = False, exit_code: int = 137, limit: int = 0
) -> None:
    """Let the stack have one container that exited in this way."""
    labels = {"com.docker.swarm.service.name": "stack_app"}
    container = {
        "State": {"OOMKilled": oom, "ExitCode": exit_code},
        "HostConfig": {"Memory": limit},
        "Config": {"Labels": labels},
    }
    engine = SimpleNamespace(
        containers=lambda **options: [{"Id": "c1"}], inspect_container=lambda name: container
    )
    monkeypatch.setattr(swarm, "client", lambda: engine)


def test_a_failure_on_a_healthy_host_is_the_recipes_fault(
    run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    died(monkeypatch, exit_code=3)
    assert fault.reconsider(run, FAILED) == FAILED


@pytest.mark.parametrize("at_fault", ["recipe", "suite", "timeout"])
def test_a_failure_on_a_host_with_a_problem_is_an_infrastructure_error(
    run: RunRecord, at_fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message starts with the host's problem and keeps the original one."""
    monkeypatch.setattr(preflight, "host_problem", lambda settings: "only 0.0 MiB are free in '/x'")
    found = fault.reconsider(run, Outcome("fail", at_fault, "no page"))
    assert (found.kind, found.fault) == ("fail", "infra")
    assert found.message == "only 0.0 MiB are free in '/x' (test failed with: no page)"


@pytest.mark.parametrize(
    "outcome", [Outcome("pass"), Outcome("skip", None, "why"), Outcome("fail", "infra", "x")]
)
def test_other_outcomes_are_unchanged_and_the_host_is_not_checked(
    run: RunRecord, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        preflight, "host_problem", lambda settings: pytest.fail("the host was checked")
    )
    assert fault.reconsider(run, outcome) == outcome


def test_a_service_killed_at_its_own_memory_limit_is_the_recipes_fault(
    run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    died(monkeypatch, oom=True, limit=32 * MIB)
    found = fault.reconsider(run, FAILED)
    assert found.fault == "recipe"
    assert found.message is not None and found.message.startswith(
        "service 'app' was killed at its own memory limit of 32.0 MiB: "
    )


def test_a_service_without_a_limit_that_is_oom_killed_is_an_infrastructure_error(
    run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    died(monkeypatch, oom=True)
    found = fault.reconsider(run, FAILED)
    assert found.fault == "infra"
    assert "out of memory: the kernel killed service 'app'" in str(found.message)


@pytest.mark.parametrize(("kills", "at_fault"), [(0, "recipe"), (1, "infra")])
def test_exit_code_137_alone_is_not_an_oom_kill(
    run: RunRecord, kills: int, at_fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program killed after ignoring SIGTERM has it, too; the host's OOM counter must have changed."""
    died(monkeypatch)
    monkeypatch.setattr(resources, "oom_kills", lambda: run.oom_kills + kills)
    assert fault.reconsider(run, FAILED).fault == at_fault


@pytest.mark.parametrize("error", [APIError("conflict"), ConnectionError("gone")])
def test_an_engine_that_cannot_be_asked_leaves_the_outcome_unchanged(
    run: RunRecord, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise error

    monkeypatch.setattr(swarm, "client", lambda: SimpleNamespace(containers=refuse))
    assert fault.reconsider(run, FAILED) == FAILED
