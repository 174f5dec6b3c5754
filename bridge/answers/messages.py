"""Every sentence that the bot posts. Untrusted text in it is shown as code, on which a forge does not act.

Reasons and notes are passed through `contract.markdown.prose`, which shows plain words as they are and other
text as code. So there is no Markdown in them, and no `!testme`.
"""

from __future__ import annotations

from collections.abc import Sequence

from contract.markdown import code_span

# %% Replies

HELP = (
    "`!testme` tests this pull request: it installs, backs up, restores and upgrades the app and runs the "
    "functional tests. `!testme --quick` tests the upgrade only. `!testme cancel` stops running tests. "
    "Post each command as a separate comment with no other text."
)
NOTHING_TO_CANCEL = "Nothing is running for this pull request, so there is nothing to cancel."
NOT_A_MEMBER = (
    "the bot's account is not a member of organisation '%s', so the forge does not show it who is: "
    "add it to a team of the organisation; comments wait until then"
)


def non_member(org: str) -> str:
    """Return the reply to a user outside the organisation."""
    return (
        f"Only members of {code_span(org)} can start a test, because it runs this code on the CI host. "
        "A member can comment `!testme` for you."
    )


def not_enrolled(recipe: str) -> str:
    """Return the reply in a repository that is not enrolled."""
    return (
        "This recipe is not enrolled in cc-ci yet, so no test was started. "
        f"To enrol it, add a folder {code_span(f'recipes_tests/{recipe}')} to the repository of cc-ci; "
        "`docs/enroll.md` there describes how."
    )


def bad_parameters(names: Sequence[str]) -> str:
    """Return the reply to a command that would give the build an invalid parameter."""
    return (
        f"Invalid value for {', '.join(names)} in this pull request, so no test was started. "
        "An operator has to look into this."
    )


# %% Why a run was cancelled

PR_CLOSED = "the pull request was closed"


def superseded(user: str, sha: str) -> str:
    """Return the reason if a test of a newer commit is requested."""
    return f"{user} requested a test of a newer commit, {sha[:8]}"


def pushed(sha: str) -> str:
    """Return the reason if the head of the pull request changes."""
    return f"a newer commit was pushed, {sha[:8]}; to test it, comment again"


def cancelled_by(user: str) -> str:
    """Return the reason if a user cancels it."""
    return f"cancelled by {user}"


# %% Why there is no report, or an unusable one

OTHER_COMMIT = "the build reported a different commit than the one requested; its result is ignored"
CLONE_FAILED = (
    "the Drone runner could not clone the repository of the CI; an operator has to fix this"
)


def killed_in_drone(where: str) -> str:
    """Return the reason if a build was stopped in Drone."""
    return f"the build was cancelled in Drone or hit Drone's timeout, {where}"


def pipeline_error(error: str) -> str:
    """Return the reason if Drone could not use the pipeline."""
    return f"Drone could not run the pipeline: {error}"


def stopped_in(stage: str) -> str:
    """Return in which stage a build stopped that printed no report."""
    return f"in stage {stage}" if stage else "before the first stage"


def no_report(exit_code: int, where: str) -> str:
    """Return the reason if a build finished without a report."""
    return f"the build stopped {where} (exit code {exit_code}, no report)"


def passed_but_build(status: str) -> str:
    """Return the reason if the report says passed and the build did not succeed."""
    return f"the report says passed, but the build's status is {status}; its result is ignored"


# %% Problems with Drone and its runner

CALL_PROBLEMS = {
    "unreachable": "unreachable",
    "slow": "timeout",
    "server": "server error",
    "limited": "rate limit",
    "denied": "access denied",
    "missing": "not found",
    "refused": "request refused",
    "garbled": "invalid response",
}


def drone_unavailable(kind: str) -> str:
    """Return the note while Drone does not answer.

    Args:
        kind: of the `CallError`.
    """
    return f"Drone does not answer ({CALL_PROBLEMS[kind]}); retrying"


def drone_never_answered(minutes: float) -> str:
    """Return the reason if Drone did not answer until the run was given up."""
    return f"Drone did not answer for {minutes:.0f} minutes; nothing was tested"


def not_started(reason: str) -> str:
    """Return the reason if Drone refused to start the build."""
    return f"{reason}; an operator has to fix this, then comment again"


def lost(minutes: float) -> str:
    """Return the reason if a build prints nothing any more."""
    return f"no log output for {minutes:.0f} minutes; assuming the runner died"


def waiting_for_runner(seconds: float) -> str:
    """Return the note for a build that no runner picks up."""
    return f"no runner has picked this up for {seconds / 60:.0f} min, although none is busy"


def retrying(reason: str) -> str:
    """Return the note for the second attempt."""
    return f"retrying once: the first attempt hit an infrastructure error ({reason})"


# %% The sticky comment

ICONS = {
    "passed": "✅",
    "recipe": "❌",
    "suite": "❌",
    "timeout": "⚠️",
    "infra": "⚠️",
    "interrupted": "⚠️",
    "cancelled": "⏹️",
}
STAGE_ICONS = {"pass": "✅", "fail": "❌", "error": "❌", "skip": "➖", "unverified": "❔"}
RUNNING_ICON, WAITING_ICON, LATER_ICON = "⏳", "🕓", "·"
VERDICTS = {
    "passed": "passed",
    "recipe": "the recipe failed",
    "suite": "test suite error",
    "timeout": "timed out",
    "infra": "CI infrastructure error",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
}
LOWER_CONFIDENCE = (
    "**Quick run, lower confidence:** no fresh install, no backup and restore, and no level."
)
NOT_THE_RECIPE = "This result says nothing about the recipe."
EARLIER = "Earlier verdicts"
REPRODUCE = "Reproduce on a CI host"
TESTS = "Tests"
EVIDENCE = "Evidence"
NOTES = "Notes"
TABLE_HEAD, TABLE_RULE = ("", "stage", "seconds", ""), ("---", "---", "---:", "---")
ACCEPTED = "accepted, starting"


def title(recipe: str, sha: str, lane: str) -> str:
    """Return what is tested."""
    return (
        f"{'Quick run of ' if lane == 'quick' else ''}{code_span(recipe)} at {code_span(sha[:8])}"
    )


def queued(position: int) -> str:
    """Return the state of a run that waits in Drone.

    Args:
        position: in Drone's queue, 0 if unknown.
    """
    return f"queued (position {position})" if position else "queued"


def running(stage: str) -> str:
    """Return the state of a running run."""
    return f"running: {stage}" if stage else "running"


def requested_by(user: str) -> str:
    """Return who requested the run, without a mention that would notify them."""
    return f"requested by {code_span(user)}"


def versions(base: str, head: str) -> str:
    """Return which versions were deployed."""
    return f"{code_span(base)} → {code_span(head)}" if base else code_span(head)


def duration(seconds: float) -> str:
    """Return a duration in minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def level(number: int) -> str:
    """Return the name of a level."""
    return f"Level {number}"


def counts(tests: int, failures: int, errors: int, skipped: int, seconds: float) -> str:
    """Return the counts of the JUnit file."""
    return (
        f"{tests} cases: {failures} failed, {errors} errors, {skipped} skipped, {duration(seconds)}"
    )


def failed_cases(count: int) -> str:
    """Return the heading of the failed cases."""
    return "1 case did not pass" if count == 1 else f"{count} cases did not pass"


def more_failed(count: int) -> str:
    """Return the line about failed cases that are not shown."""
    return f"… and {count} more; see the report."


def status_description(verdict: str, level: int | None, stage: str, lane: str) -> str:
    """Return the description of the commit status of a finished run."""
    words = VERDICTS[verdict]
    if verdict == "passed":
        return "passed, lower confidence" if lane == "quick" else f"passed, level {level}"
    return f"{words} in {stage}" if stage else words
