"""Which verdict a run gets, with the reason and the stage that decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contract.verdicts import Verdict
from harness.reporting.events import Event
from harness.reporting.level import NO_FUNCTIONAL_TEST, NOT_REACHED, Case, RunEvents

PRECEDENCE = (Verdict.RECIPE, Verdict.SUITE, Verdict.TIMEOUT, Verdict.INFRA)  # gravest first
FAILED = ("fail", "error")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason and the stage that decided it, "" if none did."""

    verdict: Verdict
    reason: str
    stage: str


def judge(events: RunEvents) -> Judgement:
    """Judge a run from its events, as if no more events could follow.

    The recorded end decides, with two exceptions: a green end that the cases do not support, and an
    interruption after a failure that has a fault already.
    """
    recorded = _recorded_verdict(events.end)
    gravest = _gravest_fault(events.cases)
    if recorded not in (Verdict.PASSED, Verdict.INTERRUPTED):
        return _as_recorded(recorded, events, gravest)
    if gravest is not None:
        return gravest
    if recorded is Verdict.INTERRUPTED:
        reason = events.end.text("reason") if events.end else ""
        return Judgement(recorded, reason or f"the run died {where(events)}", events.last_stage)
    return _unproven(events) or Judgement(Verdict.PASSED, "", "")


def where(events: RunEvents) -> str:
    """Return in words where a run was at its last event."""
    if events.last_stage:
        return f"{'in' if events.in_stage else 'in or right after'} stage '{events.last_stage}'"
    if events.last_phase:
        return f"before its first stage, after phase '{events.last_phase}'"
    return "before anything was recorded"


def _recorded_verdict(end: Event | None) -> Verdict:
    """Return the verdict in the last event of a run; "finished" means passed unless cases contradict."""
    if end is None:
        return Verdict.INTERRUPTED
    words = (end.text("verdict"), end.text("reason").partition(":")[0], end.text("how"))
    for word in words:
        if word in list(Verdict):
            return Verdict(word)
    return Verdict.PASSED


def _as_recorded(recorded: Verdict, events: RunEvents, gravest: Judgement | None) -> Judgement:
    same = gravest if gravest is not None and gravest.verdict is recorded else None
    reason = events.end.text("reason") if events.end else ""
    stage = same.stage if same else events.last_stage
    return Judgement(recorded, reason or (same.reason if same else recorded.sentence), stage)


def _gravest_fault(cases: Sequence[Case]) -> Judgement | None:
    """Return the judgement on the first case with the gravest fault, None if no case has a fault."""
    for verdict in PRECEDENCE:
        for case in cases:
            if case.fault == verdict.value and case.outcome in (*FAILED, "unverified"):
                return Judgement(verdict, case.message or f"{case.id} failed", case.stage)
    return None


def _unproven(events: RunEvents) -> Judgement | None:
    """Return why a run that reached its end is not green, None if it is."""
    failed = next((case for case in events.cases if case.outcome in FAILED), None)
    if failed is not None:
        return Judgement(Verdict.INFRA, failed.message or f"{failed.id} failed", failed.stage)
    for stage in events.stages.values():
        if stage.outcome == "unverified" and stage.reason != NO_FUNCTIONAL_TEST:
            fault = Verdict.SUITE if _only_skipped(events, stage.name) else Verdict.INFRA
            return Judgement(fault, _unverified_reason(stage.name, stage.reason), stage.name)
    if events.tampered:
        return Judgement(Verdict.SUITE, events.tampered, "")
    if events.missing:
        return Judgement(Verdict.INFRA, f"{events.missing[0]} was planned but not reached", "")
    if events.no_secret_leak is False:
        return Judgement(Verdict.INFRA, _leak_reason(events), "")
    if not any(case.outcome == "pass" for case in events.cases):
        fault = Verdict.SUITE if events.cases else Verdict.INFRA
        return Judgement(fault, "nothing was tested", "")
    cleanup = events.stages.get("cleanup")
    if cleanup is None or cleanup.outcome != "pass":
        return Judgement(Verdict.INFRA, "the cleanup was not verified", "cleanup")
    return None


def _leak_reason(events: RunEvents) -> str:
    files = events.scan.texts("files") if events.scan else ()
    return f"secret found in {', '.join(files) or 'the output'}"


def _only_skipped(events: RunEvents, stage: str) -> bool:
    """Return True if a stage is unverified only because the suite skipped tests."""
    outcomes = {case.outcome for case in events.cases if case.stage == stage}
    return "skip" in outcomes and "unverified" not in outcomes


def _unverified_reason(stage: str, reason: str) -> str:
    return f"stage '{stage}' was planned but not reached" if reason == NOT_REACHED else reason
