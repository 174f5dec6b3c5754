"""Every sentence that the bot says. What others wrote stands in code, where it can do nothing."""

from __future__ import annotations

from collections.abc import Sequence

from contract.markdown import code_span

HELP = (
    "`!testme` tests this pull request: install, upgrade, backup, restore, functions. "
    "`!testme --quick` tests less, in less time. `!testme cancel` ends what runs. "
    "Each is a comment of its own, with nothing beside it."
)
NOTHING_TO_CANCEL = "Nothing runs for this pull request, so there is nothing to cancel."
NOT_ENROLLED = (
    "This recipe is not enrolled in cc-ci yet, so nothing was started. "
    "It takes one folder named after it in `recipes_tests`; see `docs/enroll.md` there."
)
OTHER_COMMIT = (
    "The build reported on another commit than the one that was asked for; that decides nothing."
)
CLONE_FAILED = (
    "Drone's runner could not fetch the CI's own repository; the operators have to look at it."
)
NOT_A_MEMBER = (
    "the bot's account is no member of organisation '%s', so the forge does not tell it who is: "
    "add it to a team of the organisation; comments wait until then"
)


def stranger(org: str) -> str:
    """Return the refusal of a person outside of the organisation."""
    return (
        f"Only members of {code_span(org)} can start a test here, since it runs this code on the CI host. "
        "A member can comment `!testme` for you."
    )


def bad_parameters(names: Sequence[str]) -> str:
    """Return the refusal of values that are not of their form."""
    return (
        f"Nothing was started: {', '.join(names)} of this pull request has a form that is not accepted. "
        "The operators can see it in the bridge's log."
    )


def superseded(person: str, sha: str) -> str:
    """Return why a run ends when a newer one is asked for."""
    return f"{person} asked for a newer commit, {sha[:8]}"


def pushed(sha: str) -> str:
    """Return why a run ends when the pull request got another head."""
    return f"a newer commit was pushed, {sha[:8]}; comment !testme to test it"


PR_CLOSED = "the pull request was closed"


def cancelled_by(person: str) -> str:
    """Return why a run ends when somebody cancels it."""
    return f"{person} cancelled it"


def killed_in_drone(where: str) -> str:
    """Return the text for a build that somebody ended in Drone."""
    return f"cancelled in Drone, or Drone's own time ran out{where}"


def pipeline_error(error: str) -> str:
    """Return the text for a pipeline that Drone could not use."""
    return f"Drone could not run the pipeline: {error}"


def ended_in(stage: str) -> str:
    """Return where a run ended that did not come to its report."""
    return f", in {stage}" if stage else ", before its first stage"


def no_report(exit_code: int, where: str) -> str:
    """Return the text for a build that ended without a report."""
    return f"the build ended with status {exit_code} and without a report{where}"


def green_but(status: str) -> str:
    """Return the text for a report that says passed in a build that did not succeed."""
    return f"the report says passed, but the build ended as {status}; that decides nothing"


def drone_silent(error: str) -> str:
    """Return the note while Drone gives no answer."""
    return f"Drone gives no answer ({error}); it is tried again"


def drone_never_answered(minutes: float) -> str:
    """Return the text when Drone was tried for too long."""
    return f"Drone gave no answer for {minutes:.0f} minutes; nothing was tested"


def not_started(why: str) -> str:
    """Return the text for a build that Drone refused."""
    return f"{why}; the operators have to mend it, then comment !testme again"


def lost(minutes: float) -> str:
    """Return the text for a build that says nothing any more."""
    return f"the build was silent for {minutes:.0f} minutes, so its runner is taken for dead"


def waiting_for_runner(seconds: float) -> str:
    """Return the note for a build that no runner takes."""
    return f"no runner has taken it for {seconds / 60:.0f} min although nothing else runs"


def retrying(text: str) -> str:
    """Return the note for the second attempt."""
    return f"second attempt, since the first met trouble of our own: {text}"


STATUS = {
    "accepted": "heard, about to start",
    "queued": "queued",
    "running": "running",
}


# %% The comment that follows a run

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
    "suite": "the test suite is at fault",
    "timeout": "ran out of time",
    "infra": "trouble of the CI itself",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
}
LOWER = "**Quick run, lower confidence:** it skips the fresh install, backup and restore, and gives no level."
NOT_YOURS = "This says nothing about the recipe."
EARLIER = "Earlier verdicts"
REPEAT = "Repeat it on a CI host"
TESTS = "Tests"
EVIDENCE = "Evidence"
NOTES = "Notes"
TABLE_HEAD, TABLE_RULE = ("", "stage", "seconds", ""), ("---", "---", "---:", "---")
HEARD = "heard; about to start"


def title(recipe: str, sha: str, lane: str) -> str:
    """Return what is tested."""
    return (
        f"{'Quick run of ' if lane == 'quick' else ''}{code_span(recipe)} at {code_span(sha[:8])}"
    )


def queued(place: int) -> str:
    """Return the state of a run that waits in Drone."""
    return f"queued, place {place}" if place else "queued"


def now_in(stage: str) -> str:
    """Return the state of a run that goes on."""
    return f"running: {stage}" if stage else "running"


def asked_by(person: str) -> str:
    """Return who asked, without calling the person again."""
    return f"asked by {code_span(person)}"


def versions(base: str, head: str) -> str:
    """Return which versions were deployed."""
    return f"{code_span(base)} → {code_span(head)}" if base else code_span(head)


def duration(seconds: float) -> str:
    """Return a time for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def level(number: int) -> str:
    """Return the name of a level."""
    return f"Level {number}"


def counts(tests: int, failures: int, errors: int, skipped: int, seconds: float) -> str:
    """Return the numbers of the JUnit file in a sentence."""
    return (
        f"{tests} cases: {failures} failed, {errors} errors, {skipped} skipped, {duration(seconds)}"
    )


def failed_cases(count: int) -> str:
    """Return the heading of the failed cases."""
    return "1 case did not pass" if count == 1 else f"{count} cases did not pass"


def more_failed(count: int) -> str:
    """Return the line for those that are not shown."""
    return f"… and {count} more, see the report."


def status_description(verdict: str, level: int | None, stage: str, lane: str) -> str:
    """Return the description of a finished commit status."""
    words = VERDICTS[verdict]
    if verdict == "passed":
        return "passed, lower confidence" if lane == "quick" else f"passed, level {level}"
    return f"{words} in {stage}" if stage else words
