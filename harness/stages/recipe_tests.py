"""Stage recipe_tests: run a recipe's own tests in a jail against the live app, and judge the result.

Own tests can forge their results: they write the results file, and the process that counts them is theirs. So
only what counts against them is believed: a non-zero exit code, a timeout, a failed case, unreadable results.
That they passed is self-reported, which is why no level depends on this stage and no other stage uses its
results.
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
from harness.suites.outcome import NOT_APPLICABLE, NOT_RUN, Outcome

STEP = plan.GENERIC["test_recipe_tests"]
LOG = "recipe_tests"
SHOWN_LINES = 25  # last lines of the output in a failure
MAX_TESTS_SIZE = 20 * MIB  # bytes of all files below tests/
EXIT_CODES = {  # pytest's own
    2: "interrupted, or could not be collected",
    3: "pytest itself failed",
    4: "pytest was called with wrong options",
    5: "no test was found",
}


def run_own_tests(run: Run, app: App) -> None:
    """Run the recipe's own tests at the commit under test; each becomes a case of the stage.

    Raises:
        RecipeFailure: they failed, timed out, or left no readable results.
        InfraError: this host cannot create a jail.
    """
    tests = trusted.tests_of(run.checkout_dir)
    if tests is None or run.trust is None:
        what = f"{trusted.FOLDER}/{trusted.PATTERN}"
        pytest.skip(f"{NOT_APPLICABLE}the recipe has no {what} at this commit")
    _skip_without_a_live_app(run, app)
    _refuse_large_tests(tests)
    seconds = float(run.trust.timeout)
    target = Target(app.domain, run.settings.proxy_address, run.settings.ca_file)
    with run.recorder.phase(STEP.stage, app.life):
        finished = jail.run_tests(tests, target, seconds=seconds, progress=app.progress)
    output = quote_markers(run.recorder.scrub(finished.output))
    run.recorder.keep_log(app.life, LOG, output)
    results = untrusted_junit.read(finished.results)
    for case in results.cases:
        _record(run, case)
    problem = run.recorder.scrub(judge(finished, results, seconds))
    if problem:
        tail = "\n  ".join(printable(line) for line in output.splitlines()[-SHOWN_LINES:])
        raise RecipeFailure(f"{problem}\n  {tail}")
    app.progress(f"own tests: {results.count('pass') + results.left_out} passed (self-reported)")


def _skip_without_a_live_app(run: Run, app: App) -> None:
    """Skip the tests if an earlier stage broke the app: they would fail without being at fault."""
    health = run.suite_settings.health
    try:
        app.get(health.path, status=tuple(health.statuses))
    except RecipeFailure as error:
        pytest.skip(f"{NOT_RUN}the app no longer answers: {str(error).splitlines()[0]}")


def _refuse_large_tests(tests: Path) -> None:
    """Refuse too many bytes before they are copied into the jail.

    Raises:
        RecipeFailure: names the size and the maximum.
    """
    size = sum(path.lstat().st_size for path in tests.rglob("*"))
    if size > MAX_TESTS_SIZE:
        raise RecipeFailure(
            f"the recipe's own tests have {size / MIB:.0f} MiB of files; "
            f"the maximum is {MAX_TESTS_SIZE / MIB:.0f} MiB"
        )


def _record(run: Run, case: UntrustedCase) -> None:
    fault = "recipe" if case.outcome in ("fail", "error") else None
    outcome = Outcome(case.outcome, fault, case.message or None, case.details or None)
    name = run.recorder.scrub(case.name)
    run.recorder.case(name, STEP, outcome, seconds=case.seconds)


def judge(finished: JailResult, results: UntrustedResults, seconds: float) -> str:
    """Return what counts against the tests, "" for nothing.

    Args:
        finished: how the process finished.
        results: what it reported.
        seconds: the timeout that it had.
    """
    if finished.exit_code is None:
        return f"the recipe's own tests timed out after {seconds:.0f} s"
    bad = results.count("fail", "error")
    if bad:
        first = next(case for case in results.cases if case.outcome in ("fail", "error"))
        return f"{bad} of the recipe's own tests failed; the first: {first.name}: {first.message}"
    if finished.exit_code != 0:
        return f"the recipe's own tests failed with {_meaning(finished.exit_code)}"
    if results.unreadable:
        return (
            "the recipe's own tests exited with code 0, but their results cannot be read: "
            f"{results.unreadable}"
        )
    if not results.count("pass"):
        return "none of the recipe's own tests passed: all were skipped, or there are none"
    return ""


def _meaning(code: int) -> str:
    """Return an exit code in words; below 0 or above 128 a signal killed the program."""
    if code > 128 or code < 0:
        signal = code - 128 if code > 128 else -code
        return f"exit code {code}: killed by signal {signal}, possibly out of memory"
    return f"exit code {code}" + (f": {EXIT_CODES[code]}" if code in EXIT_CODES else "")
