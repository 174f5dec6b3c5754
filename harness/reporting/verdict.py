"""Which verdict a run gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contract.verdicts import Verdict
from harness.reporting.events import Event
from harness.reporting.level import NOT_REACHED, UNTESTED, Case, Record, gather

PRECEDENCE = (Verdict.RECIPE, Verdict.SUITE, Verdict.TIMEOUT, Verdict.INFRA)
BAD = ("fail", "error")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict with its reason and the stage that decided it, "" where none did."""

    verdict: Verdict
    reason: str
    stage: str


def judge(found: Sequence[Event]) -> Judgement:
    """Judge a run from its events, as if nothing more could follow.

    What was recorded as the end wins, but for two things: a green that the cases do not bear out,
    and an interruption after a failure that somebody is to blame for already.
    """
    return judge_record(gather(found))


def judge_record(record: Record) -> Judgement:
    """Judge a run from its sorted events; see `judge`."""
    claimed = _claimed(record.end)
    blamed = _blamed(record.cases)
    if claimed not in (Verdict.PASSED, Verdict.INTERRUPTED):
        return _as_recorded(claimed, record, blamed)
    if blamed is not None:
        return blamed
    if claimed is Verdict.INTERRUPTED:
        told = record.end.text("reason") if record.end else ""
        return Judgement(claimed, told or f"the run died {where(record)}", record.ended_in)
    return _unproven(record) or Judgement(Verdict.PASSED, "", "")


def where(record: Record) -> str:
    """Return in words where a run was when its events end."""
    if record.ended_in:
        return f"{'in' if record.inside else 'in or right after'} stage '{record.ended_in}'"
    if record.last_phase:
        return f"before its first stage, after phase '{record.last_phase}'"
    return "before anything was recorded"


def _claimed(end: Event | None) -> Verdict:
    """Return the verdict that the end of the run states; "finished" claims that all was well."""
    if end is None:
        return Verdict.INTERRUPTED
    words = (end.text("verdict"), end.text("reason").partition(":")[0], end.text("how"))
    for word in words:
        if word in list(Verdict):
            return Verdict(word)
    return Verdict.PASSED


def _as_recorded(claimed: Verdict, record: Record, blamed: Judgement | None) -> Judgement:
    same = blamed if blamed is not None and blamed.verdict is claimed else None
    reason = record.end.text("reason") if record.end else ""
    stage = same.stage if same else record.ended_in
    return Judgement(claimed, reason or (same.reason if same else claimed.sentence), stage)


def _blamed(cases: Sequence[Case]) -> Judgement | None:
    """Return the judgement on the first case of the gravest fault, None where there is none."""
    for verdict in PRECEDENCE:
        for case in cases:
            if case.fault == verdict.value and case.outcome in (*BAD, "unverified"):
                return Judgement(verdict, case.message or f"{case.id} failed", case.stage)
    return None


def _unproven(record: Record) -> Judgement | None:
    """Return what keeps a run that reached its end from being green, None when nothing does."""
    failed = next((case for case in record.cases if case.outcome in BAD), None)
    if failed is not None:
        return Judgement(Verdict.INFRA, failed.message or f"{failed.id} failed", failed.stage)
    for stage in record.stages.values():
        if stage.outcome == "unverified" and stage.reason != UNTESTED:
            blame = Verdict.SUITE if _skips_itself(record, stage.name) else Verdict.INFRA
            return Judgement(blame, _accounted(stage.name, stage.reason), stage.name)
    if record.tampered:
        return Judgement(Verdict.SUITE, record.tampered, "")
    if record.missing:
        return Judgement(Verdict.INFRA, f"{record.missing[0]} was planned but not reached", "")
    if record.no_secret_leak is False:
        return Judgement(Verdict.INFRA, leak_words(record), "")
    if not any(case.outcome == "pass" for case in record.cases):
        blame = Verdict.SUITE if record.cases else Verdict.INFRA
        return Judgement(blame, "nothing was tested", "")
    cleanup = record.stages.get("cleanup")
    if cleanup is None or cleanup.outcome != "pass":
        return Judgement(Verdict.INFRA, "nothing shows that the run left nothing behind", "cleanup")
    return None


def leak_words(record: Record) -> str:
    """Return in words where a secret was found, without its value; "" where none was."""
    if record.scan is None or record.no_secret_leak:
        return ""
    return f"a secret stood in {', '.join(record.scan.texts('files')) or 'the output'}"


def _skips_itself(record: Record, stage: str) -> bool:
    """Say whether nothing but skips of the suite's own keeps a stage from being proven."""
    cases = [case for case in record.cases if case.stage == stage]
    outcomes = {case.outcome for case in cases}
    return "skip" in outcomes and "unverified" not in outcomes


def _accounted(stage: str, reason: str) -> str:
    return f"stage '{stage}' was planned but not reached" if reason == NOT_REACHED else reason
