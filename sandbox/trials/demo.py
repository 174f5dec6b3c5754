"""The demo: two recipes that pass, then a broken one that is caught."""

from __future__ import annotations

from sandbox.trials import product, zoo

RECIPES = ("custom-html", "miniflux")
BROKEN = "functional-fails"  # the broken recipe a newcomer sees


def demo() -> int:
    """Run the demo recipes in this terminal; return 0 if two pass and the broken one is caught.

    Raises:
        ProductError: a run cannot be started, or left no report.
    """
    for recipe in RECIPES:
        if product.run_in_terminal(recipe) != 0:
            print(f"the demo recipe {recipe} did not pass")
            return 1
    print(f"\nNow a broken recipe, {BROKEN}: here a failure is expected.\n", flush=True)
    (variant,) = zoo.variants([BROKEN])
    done, report = zoo.run(variant)
    print(done.output)
    wrong = zoo.problem(variant, done.exit_code, report)
    if wrong:
        print(f"it was not caught as expected: {wrong}")
        return 1
    print(
        f"\nTwo recipes passed, one broken recipe caught in stage {report.stage}: {report.reason}"
    )
    return 0
