"""The one comment on a pull request that follows its runs: a pure function of what is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bridge.answers import messages
from bridge.builds.drone_log import Progress
from bridge.builds.verdict import Verdict
from bridge.store import Run
from contract import run_files
from contract.markdown import code_span, fence, one_line, prose, table_cell
from contract.report_line import ReportedCase, ReportedStage, RunReport

LONGEST = 60_000  # characters; a forge's database may take no more
EARLIER_SHOWN = 10
EVIDENCE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Links:
    """Where things can be read.

    builds: Drone's pages of the CI repository. runs: the run directories, "" where they cannot be read.
    """

    builds: str
    runs: str = ""

    def build(self, run: Run) -> str:
        """Return the page of a run's build, "" before it has one."""
        return f"{self.builds}/{run.build}" if run.build else ""

    def file(self, report: RunReport, path: str) -> str:
        """Return the address of a file of a run, "" where files cannot be read."""
        return (
            f"{self.runs.rstrip('/')}/{report.run}/{quote(path, errors='replace')}"
            if self.runs
            else ""
        )


def marker(lane: str) -> str:
    """Return the invisible line by which the bot knows its own comment again."""
    return f"<!-- cc-ci {lane} -->"


def answer_marker(comment: int) -> str:
    """Return the invisible line by which the bot knows its answer to a comment again."""
    return f"<!-- cc-ci answer {comment} -->"


def render(run: Run, earlier: Sequence[Run], links: Links) -> str:
    """Return the comment's text for a run. earlier: the runs before it, newest first."""
    parts = [marker(run.lane), _heading(run), _about(run, links)]
    if run.lane == "quick":
        parts.append(messages.LOWER)
    parts += _ended(run, links) if run.state == "done" else _going_on(run)
    parts.append(_earlier(earlier, links))
    return _fit([part for part in parts if part])


def _fit(parts: list[str]) -> str:
    """Join the parts; drop the longest in the middle where it would be too much for the forge."""
    text = "\n\n".join(parts) + "\n"
    while len(text) > LONGEST and len(parts) > 3:
        parts.remove(max(parts[3:], key=len))
        text = "\n\n".join(parts) + "\n"
    return text


def _heading(run: Run) -> str:
    return f"### {_icon(run)} {messages.title(run.recipe, run.sha, run.lane)}: {state_words(run)}"


def _icon(run: Run) -> str:
    if run.state == "done":
        return messages.ICONS[Verdict.of(run.verdict).name]
    return messages.RUNNING_ICON if run.state == "running" else messages.WAITING_ICON


def state_words(run: Run) -> str:
    """Return in a few words how a run stands; also the description of the commit's status."""
    if run.state == "accepted":
        return messages.HEARD
    if run.state == "queued":
        return messages.queued(run.place)
    if run.state == "running":
        return messages.now_in(Progress.of(run.told()).now)
    verdict = Verdict.of(run.verdict)
    report = verdict.told()
    level, stage = (report.level, report.stage) if report else (None, "")
    return messages.status_description(verdict.name, level, stage, run.lane)


def _about(run: Run, links: Links) -> str:
    progress = Progress.of(run.told())
    told = [messages.asked_by(run.person)]
    page = links.build(run)
    told += [f"[build {run.build}]({page})"] if page else []
    told += [messages.versions(progress.base_version, progress.version)] if progress.version else []
    if run.state == "done":
        told.append(messages.duration(run.ended - run.accepted))
    return " · ".join(told)


# %% While it goes on


def _going_on(run: Run) -> list[str]:
    note = prose(run.note) if run.note else ""
    return [note, _progress_table(Progress.of(run.told()))]


def _progress_table(progress: Progress) -> str:
    """Return the stages: those that ended, the one that runs, those to come."""
    rows = []
    for name in progress.stages:
        outcome = progress.outcomes.get(name)
        icon = messages.STAGE_ICONS.get(outcome or "", messages.LATER_ICON)
        icon = messages.RUNNING_ICON if name == progress.now else icon
        rows.append(f"| {icon} | {table_cell(name)} |")
    return "\n".join(["| | stage |", "|---|---|", *rows]) if rows else ""


# %% When it has ended


def _ended(run: Run, links: Links) -> list[str]:
    verdict = Verdict.of(run.verdict)
    report = verdict.told()
    parts = [_why(verdict)]
    if report is None:
        return parts
    stages = _stage_table(report.stages, verdict.text)
    parts += [_level(report), stages, _counts(report, links)]
    parts += [_failed(report), _evidence(report, links), _notes(report), _repeat(report)]
    return parts


def _why(verdict: Verdict) -> str:
    """Return what decided, in bold; and that the recipe is not blamed where it is not."""
    if verdict.name == "passed":
        return ""
    report = verdict.told()
    where = f"**{table_cell(report.stage)}:** " if report and report.stage else ""
    told = f"{where}{prose(verdict.text)}"
    return told if verdict.state == "failure" else f"{told}\n\n{messages.NOT_YOURS}"


def _level(report: RunReport) -> str:
    if report.level is None:
        return ""
    told = prose(report.level_words.removeprefix(f"level {report.level}: "))
    return f"**{messages.level(report.level)}:** {told}"


def _stage_table(stages: Sequence[ReportedStage], said: str) -> str:
    """Return the stages with their seconds, and with reasons where there are any."""
    told = [
        (messages.STAGE_ICONS[s.outcome], table_cell(s.name), f"{s.seconds:.1f}", _reason(s, said))
        for s in stages
    ]
    if not told:
        return ""
    width = 4 if any(row[3] for row in told) else 3
    rows = [messages.TABLE_HEAD, messages.TABLE_RULE, *told]
    return "\n".join(f"| {' | '.join(row[:width])} |" for row in rows)


def _reason(stage: ReportedStage, said: str) -> str:
    """Return why a stage came out so, in a few words; not what stands above the table already."""
    if stage.outcome == "unverified":
        return table_cell(stage.reason.partition(":")[0])
    return "" if stage.reason == said else table_cell(stage.reason[:160])


def _counts(report: RunReport, links: Links) -> str:
    n = report.junit
    told = messages.counts(n.tests, n.failures, n.errors, n.skipped, report.seconds)
    address = links.file(report, run_files.JUNIT)
    return f"**{messages.TESTS}:** {told}" + (f" ([junit.xml]({address}))" if address else "")


def _failed(report: RunReport) -> str:
    """Return the failed cases, folded, the first of them open."""
    shown = [_case(case, opened=number == 0) for number, case in enumerate(report.failed)]
    if not shown:
        return ""
    rest = report.failed_in_all - len(shown)
    more = [messages.more_failed(rest)] if rest > 0 else []
    return "\n\n".join([f"**{messages.failed_cases(report.failed_in_all)}**", *shown, *more])


def _case(case: ReportedCase, *, opened: bool) -> str:
    place = ", ".join(part for part in (case.stage, case.life) if part)
    summary = _html(f"{case.id} ({place})" if place else case.id)
    body = [prose(case.message), *([fence(case.lines, "text")] if case.lines else [])]
    inside = "\n\n".join(part for part in body if part)
    head = f"<details{' open' if opened else ''}><summary>{summary}</summary>"
    return f"{head}\n\n{inside}\n\n</details>"


def _html(text: str) -> str:
    """Return foreign text as code within HTML, where Markdown's code has no meaning."""
    safe = one_line(text)[:200].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{safe}</code>"


def _evidence(report: RunReport, links: Links) -> str:
    paths = [run_files.SUMMARY, run_files.REPORT, run_files.EVENTS, *report.evidence]
    if not links.runs:
        return ""
    shown = [f"[{code_span(path)}]({links.file(report, path)})" for path in paths[:EVIDENCE_SHOWN]]
    return f"**{messages.EVIDENCE}:** {', '.join(shown)}"


def _notes(report: RunReport) -> str:
    return (
        "\n".join([f"**{messages.NOTES}**", "", *(f"- {prose(n)}" for n in report.notes)])
        if report.notes
        else ""
    )


def _repeat(report: RunReport) -> str:
    if not report.repeat:
        return ""
    return f"**{messages.REPEAT}**\n\n{fence([report.repeat], 'sh')}"


# %% The verdicts before


def _earlier(runs: Sequence[Run], links: Links) -> str:
    rows = [_earlier_row(run, links) for run in runs if run.state == "done"][:EARLIER_SHOWN]
    if not rows:
        return ""
    head = f"<details><summary>{messages.EARLIER}</summary>"
    return f"{head}\n\n" + "\n".join(rows) + "\n\n</details>"


def _earlier_row(run: Run, links: Links) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.ended))
    page = links.build(run)
    build = f" ([build {run.build}]({page}))" if page else ""
    return f"- {_icon(run)} {when} UTC, {code_span(run.sha[:8])}: {state_words(run)}{build}"
