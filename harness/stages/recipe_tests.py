"""The stage of a recipe's own tests: run in a jail against the live app, and what of it is believed.

A suite can forge its own results: it writes the file, and the process that counts them is its own.
Believed is therefore only what speaks against it: a status other than 0, a time that is up, a failed
case, results that cannot be read. That it passed is what it says of itself, which is why no level
stands on it; no other stage takes anything from it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.markdown import printable
from contract.marker import quote_markers
from harness import plan
from harness.errors import RecipeFailure
from harness.host.resources import MIB
from harness.jail import jail, untrusted_junit
from harness.jail.command import Target
from harness.jail.jail import JailResult
from harness.jail.untrusted_junit import UntrustedCase, UntrustedResults
from harness.runs.run import Run
from harness.suites import trusted
from harness.suites.app import App
from harness.suites.collect import Place
from harness.suites.outcome import NOT_APPLICABLE, NOT_RUN, Outcome

STEP = plan.GENERIC["test_recipe_tests"]
LOG = "recipe_tests"
SHOWN_LINES = 25  # last lines of the output in a failure
MOST_BYTES = 20 * MIB  # of files below tests/


def verify(run: Run, app: App) -> None:
    """Run the recipe's own tests at the commit under test; each becomes a case of the stage.

    Raises:
        RecipeFailure: they failed, did not end in time, or say nothing that can be read.
        InfraError: no jail is to be had on this host.
    """
    tests = trusted.tests_of(run.checkout_dir)
    if tests is None or run.trust is None:
        what = f"{trusted.FOLDER}/{trusted.PATTERN}"
        pytest.skip(f"{NOT_APPLICABLE}the recipe has no {what} at this commit")
    _require_a_live_app(run, app)
    _refuse_too_much(tests)
    seconds = float(run.trust.timeout)
    reached = Target(app.domain, run.settings.proxy_address, run.settings.ca_file)
    with run.recorder.phase(STEP.stage, app.life):
        left = jail.run_tests(tests, reached, seconds=seconds, progress=app.progress)
    output = quote_markers(run.recorder.scrub(left.output))
    run.recorder.keep_log(app.life, LOG, output)
    hearing = untrusted_junit.read(left.results)
    for case in hearing.cases:
        _record(run, case)
    problem = run.recorder.scrub(judge(left, hearing, seconds))
    if problem:
        tail = "\n  ".join(printable(line) for line in output.splitlines()[-SHOWN_LINES:])
        raise RecipeFailure(f"{problem}\n  {tail}")
    app.progress(f"{hearing.count('pass') + hearing.left_out} of its own tests passed, as they say")


def _require_a_live_app(run: Run, app: App) -> None:
    """Leave the tests out where an earlier stage left no app: they would be blamed for it."""
    health = run.suite_settings.health
    try:
        app.get(health.path, status=tuple(health.statuses))
    except RecipeFailure as error:
        pytest.skip(f"{NOT_RUN}the app no longer answers: {str(error).splitlines()[0]}")


def _refuse_too_much(tests: Path) -> None:
    """Refuse more than there is room for, before it is copied.

    Raises:
        RecipeFailure: says how much there is.
    """
    size = sum(path.lstat().st_size for path in tests.rglob("*"))
    if size > MOST_BYTES:
        raise RecipeFailure(
            f"its own tests have {size / MIB:.0f} MiB of files, but may have {MOST_BYTES / MIB:.0f}"
        )


def _record(run: Run, case: UntrustedCase) -> None:
    fault = "recipe" if case.outcome in ("fail", "error") else None
    outcome = Outcome(case.outcome, fault, case.message or None, case.details or None)
    name = run.recorder.scrub(case.name)
    run.recorder.case(name, Place(run.recipe, STEP), outcome, seconds=case.seconds)


def judge(left: JailResult, hearing: UntrustedResults, seconds: float) -> str:
    """Return what speaks against the tests, "" when nothing does.

    seconds: what they were given.
    """
    if left.exit_code is None:
        return f"its own tests did not end within {seconds:.0f} s and were ended"
    bad = hearing.count("fail", "error")
    if bad:
        first = next(case for case in hearing.cases if case.outcome in ("fail", "error"))
        return f"{bad} of its own tests failed, first {first.name}: {first.message}"
    if left.exit_code != 0:
        return f"its own tests ended with {_meaning(left.exit_code)}"
    if hearing.unreadable:
        return f"its own tests ended with status 0, but their results say nothing: {hearing.unreadable}"
    if not hearing.count("pass"):
        return "none of its own tests passed: there is none, or every one was skipped"
    return ""


def _meaning(status: int) -> str:
    """Return an exit status in words; below 0 or above 128 a signal ended the program."""
    known = {
        2: "were interrupted, or could not be collected",
        3: "pytest itself failed",
        4: "pytest was called wrongly",
        5: "no test was found",
    }
    if status > 128 or status < 0:
        number = status - 128 if status > 128 else -status
        return f"status {status}: ended by signal {number}; out of memory, perhaps"
    return f"status {status}" + (f": {known[status]}" if status in known else "")
