"""Whose fault a failure is on a host in trouble: a recipe is blamed for nothing that the host did."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import APIError

from harness.errors import InfraError
from harness.host import resources
from harness.runs import fault as blame
from harness.runs import preflight
from harness.runs.record import RunRecord
from harness.suites.outcome import Outcome, outcome_of
from harness.swarm import containers
from harness.swarm import engine as swarm
from tests.support.bare_run import bare_run

FAILED = Outcome("fail", "recipe", "service 'app' keeps ending")
MIB = 1024**2


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunRecord]:
    """A run on a host that is well, with one stack."""
    monkeypatch.setattr(preflight, "host_problem", lambda settings: "")
    made = bare_run(tmp_path, lambda line: None)
    made.apps.stacks.append("stack")
    yield made
    made.recorder.close()


def died(
    monkeypatch: pytest.MonkeyPatch, *, oom: bool = False, status: int = 137, limit: int = 0
) -> None:
    """Let the stack have one container that ended so."""
    labels = {"com.docker.swarm.service.name": "stack_app"}
    container = {
        "State": {"OOMKilled": oom, "ExitCode": status},
        "HostConfig": {"Memory": limit},
        "Config": {"Labels": labels},
    }
    engine = SimpleNamespace(
        containers=lambda **options: [{"Id": "c1"}], inspect_container=lambda name: container
    )
    monkeypatch.setattr(swarm, "client", lambda: engine)


def test_on_a_host_that_is_well_the_recipe_is_to_blame(
    run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash is a crash."""
    died(monkeypatch, status=3)
    assert blame.reconsider(run, FAILED) == FAILED


@pytest.mark.parametrize("fault", ["recipe", "suite", "timeout"])
def test_on_a_host_in_trouble_nobody_else_is(
    run: RunRecord, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's trouble comes first in the sentence; what was seen stays in it."""
    monkeypatch.setattr(preflight, "host_problem", lambda settings: "only 0.0 MiB are free in '/x'")
    found = blame.reconsider(run, Outcome("fail", fault, "no page"))
    assert (found.kind, found.fault) == ("fail", "infra")
    assert found.message == "only 0.0 MiB are free in '/x' (test failed with: no page)"


@pytest.mark.parametrize(
    "outcome", [Outcome("pass"), Outcome("skip", None, "why"), Outcome("fail", "infra", "x")]
)
def test_what_blames_nobody_is_left_alone(
    run: RunRecord, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trouble never turns a pass into anything, nor is the host asked."""
    monkeypatch.setattr(preflight, "host_problem", lambda settings: pytest.fail("asked"))
    assert blame.reconsider(run, outcome) == outcome


def test_a_service_ended_at_its_own_memory_limit_is_the_recipes_fault(
    run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe sets a limit that its application does not keep; the sentence names it."""
    died(monkeypatch, oom=True, limit=32 * MIB)
    found = blame.reconsider(run, FAILED)
    assert found.fault == "recipe"
    assert found.message is not None and found.message.startswith(
        "service 'app' was killed at its own memory limit of 32.0 MiB: "
    )


def test_a_service_ended_without_a_limit_met_the_hosts(
    run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the recipe sets no limit, memory that ran out was the host's."""
    died(monkeypatch, oom=True)
    found = blame.reconsider(run, FAILED)
    assert found.fault == "infra"
    assert "out of memory: the kernel killed service 'app'" in str(found.message)


@pytest.mark.parametrize(("kills", "fault"), [(0, "recipe"), (1, "infra")])
def test_status_137_alone_is_no_proof(
    run: RunRecord, kills: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that ignores its stop signal ends so too: the kernel must have ended one since we began."""
    died(monkeypatch)
    monkeypatch.setattr(resources, "oom_kills", lambda: run.oom_kills + kills)
    assert blame.reconsider(run, FAILED).fault == fault


@pytest.mark.parametrize("error", [APIError("conflict"), ConnectionError("gone")])
def test_an_engine_that_refuses_the_second_look_changes_nothing(
    run: RunRecord, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first judgement stands; the run goes on."""

    def refuse(**options: object) -> None:
        raise error

    monkeypatch.setattr(swarm, "client", lambda: SimpleNamespace(containers=refuse))
    assert blame.reconsider(run, FAILED) == FAILED


def test_a_record_that_is_lost_stops_the_run_but_not_its_cleanup(run: RunRecord) -> None:
    """What cannot be told is not tried; what stands is removed all the same."""
    run.recorder.events.write_error = "cannot record an event"
    with pytest.raises(InfraError, match="cannot record an event"):
        run.recorder.start_stage("install", "fresh")
    run.recorder.start_stage("cleanup", "")


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENOMEM, errno.EDQUOT]
)
def test_what_the_system_refuses_is_ours(number: int) -> None:
    """A full or read-only disk met in the middle of a test is not the suite's fault."""
    seen = SimpleNamespace(passed=False, skipped=False, when="call", longrepr="trace")
    error = OSError(number, os.strerror(number))
    assert outcome_of(seen, error).fault == "infra"  # type: ignore[arg-type]
    missing = FileNotFoundError(errno.ENOENT, "No such file")
    assert outcome_of(seen, missing).fault == "suite"  # type: ignore[arg-type]


def test_an_oom_kill_is_looked_for_in_vanished_containers_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container that Swarm removed meanwhile is passed over."""
    from docker.errors import NotFound

    def gone(name: str) -> None:
        raise NotFound("gone")

    engine = SimpleNamespace(containers=lambda **options: [{"Id": "c1"}], inspect_container=gone)
    monkeypatch.setattr(swarm, "client", lambda: engine)
    assert containers.oom_kill("stack", host_killed=True) is None
