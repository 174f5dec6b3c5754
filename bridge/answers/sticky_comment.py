"""The one comment on a pull request that follows its runs: its text as a pure function of the runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bridge.answers import messages
from bridge.model import Progress, Result, Run
from contract import run_files
from contract.markdown import code_span, fence, one_line, prose, table_cell
from contract.report_line import ReportedCase, ReportedStage, RunReport

MAX_COMMENT = 60_000  # characters; a forge's database may store no more
MAX_EARLIER = 10  # earlier runs
MAX_EVIDENCE = 20  # files
MAX_REASON = 160  # characters of a stage's reason
MAX_CASE_NAME = 200  # characters
HEAD = 3  # parts of the comment that are never dropped: marker, heading, who requested it


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of builds and files.

    `builds` is Drone's page of the CI repository. `runs` is the address of the run directories, "" if they
    are not served.
    """

    builds: str
    runs: str = ""

    def build(self, run: Run) -> str:
        """Return the page of a run's build, "" before it has one."""
        return f"{self.builds}/{run.build}" if run.build else ""

    def file(self, report: RunReport, path: str) -> str:
        """Return the address of a file of a run, "" if files are not served."""
        if not self.runs:
            return ""
        return f"{self.runs.rstrip('/')}/{report.run}/{quote(path, errors='replace')}"


def marker(lane: str) -> str:
    """Return the invisible line by which the bot finds its sticky comment again."""
    return f"<!-- cc-ci {lane} -->"


def reply_marker(comment: int) -> str:
    """Return the invisible line by which the bot finds its reply to a comment again."""
    return f"<!-- cc-ci answer {comment} -->"


def render(run: Run, earlier: Sequence[Run], links: Links) -> str:
    """Return the text of the comment for a run.

    Args:
        run: the run.
        earlier: the runs before it, latest first.
        links: addresses of builds and files.
    """
    parts = [marker(run.lane), _heading(run), _about(run, links)]
    if run.lane == "quick":
        parts.append(messages.LOWER_CONFIDENCE)
    parts += _finished(run.result, links) if run.result else _unfinished(run)
    parts.append(_earlier(earlier, links))
    return _fit([part for part in parts if part])


def _fit(parts: list[str]) -> str:
    """Join the parts; drop the longest after the head while the text is too long for a forge."""
    text = "\n\n".join(parts) + "\n"
    while len(text) > MAX_COMMENT and len(parts) > HEAD:
        parts.remove(max(parts[HEAD:], key=len))
        text = "\n\n".join(parts) + "\n"
    return text


def _heading(run: Run) -> str:
    return f"### {_icon(run)} {messages.title(run.recipe, run.sha, run.lane)}: {state_words(run)}"


def _icon(run: Run) -> str:
    if run.result:
        return messages.ICONS[run.result.verdict]
    return messages.RUNNING_ICON if run.state == "running" else messages.WAITING_ICON


def state_words(run: Run) -> str:
    """Return the state of a run in a few words; also the description of the commit status."""
    if run.result:
        report = run.result.report
        level, stage = (report.level, report.stage) if report else (None, "")
        return messages.status_description(run.result.verdict, level, stage, run.lane)
    if run.state == "running":
        return messages.running(run.progress.now)
    return messages.queued(run.position) if run.state == "queued" else messages.ACCEPTED


def _about(run: Run, links: Links) -> str:
    progress, page = run.progress, links.build(run)
    parts = [messages.requested_by(run.requester)]
    if page:
        parts.append(f"[build {run.build}]({page})")
    if progress.version:
        parts.append(messages.versions(progress.base_version, progress.version))
    if not run.active:
        parts.append(messages.duration(run.finished - run.accepted))
    return " · ".join(parts)


# %% During the run


def _unfinished(run: Run) -> list[str]:
    note = prose(run.note) if run.note else ""
    return [note, _progress_table(run.progress)]


def _progress_table(progress: Progress) -> str:
    """Return all planned stages: finished, running and still to come."""
    rows = []
    for name in progress.stages:
        outcome = progress.outcomes.get(name)
        icon = messages.STAGE_ICONS.get(outcome or "", messages.LATER_ICON)
        icon = messages.RUNNING_ICON if name == progress.now else icon
        rows.append(f"| {icon} | {table_cell(name)} |")
    return "\n".join(["| | stage |", "|---|---|", *rows]) if rows else ""


# %% After the run


def _finished(result: Result, links: Links) -> list[str]:
    parts = [_reason(result)]
    report = result.report
    if report is None:
        return parts
    stages = _stage_table(report.stages, result.reason)
    parts += [_level(report), stages, _counts(report, links)]
    parts += [_failed(report), _evidence(report, links), _notes(report), _reproduce(report)]
    return parts


def _reason(result: Result) -> str:
    """Return the stage and the reason of a result that is not green."""
    if result.verdict == "passed":
        return ""
    report = result.report
    stage = f"**{table_cell(report.stage)}:** " if report and report.stage else ""
    reason = f"{stage}{prose(result.reason)}"
    return reason if result.state == "failure" else f"{reason}\n\n{messages.NOT_THE_RECIPE}"


def _level(report: RunReport) -> str:
    if report.level is None:
        return ""
    words = prose(report.level_words.removeprefix(f"level {report.level}: "))
    return f"**{messages.level(report.level)}:** {words}"


def _stage_table(stages: Sequence[ReportedStage], reason: str) -> str:
    """Return the stages with seconds, and with a column of reasons if there are any.

    Args:
        stages: in the order of the run.
        reason: the text above the table, which is not repeated in it.
    """
    cells = [
        (
            messages.STAGE_ICONS[s.outcome],
            table_cell(s.name),
            f"{s.seconds:.1f}",
            _stage_reason(s, reason),
        )
        for s in stages
    ]
    if not cells:
        return ""
    width = 4 if any(row[3] for row in cells) else 3
    rows = [messages.TABLE_HEAD, messages.TABLE_RULE, *cells]
    return "\n".join(f"| {' | '.join(row[:width])} |" for row in rows)


def _stage_reason(stage: ReportedStage, reason: str) -> str:
    if stage.outcome == "unverified":
        return table_cell(stage.reason.partition(":")[0])
    return "" if stage.reason == reason else table_cell(stage.reason[:MAX_REASON])


def _counts(report: RunReport, links: Links) -> str:
    n = report.junit
    counts = messages.counts(n.tests, n.failures, n.errors, n.skipped, report.seconds)
    address = links.file(report, run_files.JUNIT)
    link = f" ([junit.xml]({address}))" if address else ""
    return f"**{messages.TESTS}:** {counts}{link}"


def _failed(report: RunReport) -> str:
    """Return the failed cases, folded except for the first."""
    shown = [_case(case, opened=number == 0) for number, case in enumerate(report.failed)]
    if not shown:
        return ""
    hidden = report.failed_in_all - len(shown)
    more = [messages.more_failed(hidden)] if hidden > 0 else []
    return "\n\n".join([f"**{messages.failed_cases(report.failed_in_all)}**", *shown, *more])


def _case(case: ReportedCase, *, opened: bool) -> str:
    where = ", ".join(part for part in (case.stage, case.life) if part)
    summary = _html_code(f"{case.id} ({where})" if where else case.id)
    body = [prose(case.message), *([fence(case.lines, "text")] if case.lines else [])]
    inside = "\n\n".join(part for part in body if part)
    head = f"<details{' open' if opened else ''}><summary>{summary}</summary>"
    return f"{head}\n\n{inside}\n\n</details>"


def _html_code(text: str) -> str:
    """Return untrusted text as code for use within HTML, in which Markdown's code has no meaning."""
    safe = one_line(text)[:MAX_CASE_NAME]
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        safe = safe.replace(character, entity)
    return f"<code>{safe}</code>"


def _evidence(report: RunReport, links: Links) -> str:
    if not links.runs:
        return ""
    paths = [run_files.SUMMARY, run_files.REPORT, run_files.EVENTS, *report.evidence]
    shown = [f"[{code_span(path)}]({links.file(report, path)})" for path in paths[:MAX_EVIDENCE]]
    return f"**{messages.EVIDENCE}:** {', '.join(shown)}"


def _notes(report: RunReport) -> str:
    if not report.notes:
        return ""
    return "\n".join([f"**{messages.NOTES}**", "", *(f"- {prose(note)}" for note in report.notes)])


def _reproduce(report: RunReport) -> str:
    if not report.repeat:
        return ""
    return f"**{messages.REPRODUCE}**\n\n{fence([report.repeat], 'sh')}"


# %% Earlier runs


def _earlier(runs: Sequence[Run], links: Links) -> str:
    rows = [_earlier_row(run, links) for run in runs if not run.active][:MAX_EARLIER]
    if not rows:
        return ""
    head = f"<details><summary>{messages.EARLIER}</summary>"
    return f"{head}\n\n" + "\n".join(rows) + "\n\n</details>"


def _earlier_row(run: Run, links: Links) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.finished))
    page = links.build(run)
    build = f" ([build {run.build}]({page}))" if page else ""
    return f"- {_icon(run)} {when} UTC, {code_span(run.sha[:8])}: {state_words(run)}{build}"
