"""Stage lint: the recipe's files follow abra's rules."""

from __future__ import annotations

from harness.errors import RecipeFailure
from harness.runs.run import Run
from harness.stages import admission, deploy


def lint(run: Run) -> None:
    """Run abra's lint on the head; a broken rule of severity error is a failure.

    Raises:
        RecipeFailure: names each broken rule, or what makes the checkout unfit for abra to read.
    """
    admission.admit_checkout(run)
    with deploy.abra_errors_as_failures(f"linting '{run.recipe}'"), run.recorder.phase("lint"):
        result = run.abra.recipe_lint(run.recipe)
    for line in result.warned:
        run.recorder.note(f"lint warning: {line}")
    if result.failed:
        raise RecipeFailure(
            f"abra's lint found {len(result.failed)} broken rule(s): " + "; ".join(result.failed)
        )
