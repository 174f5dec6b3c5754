"""The benchmark: the time of a cold run of custom-html and of the same steps with plain Docker."""

from __future__ import annotations

import os
import time

from sandbox.trials import product
from sandbox.trials.product import ProductError, Report

RECIPE = "custom-html"


def bench(baseline: float) -> list[str]:
    """Run custom-html cold; return the lines that compare it with the baseline.

    Args:
        baseline: seconds that the same steps take with plain Docker.

    Raises:
        ProductError: the run failed, so its time means nothing.
    """
    run_id = f"bench-{os.getpid()}-{int(time.time())}"
    done = product.run(RECIPE, run_id)
    if done.exit_code != 0:
        raise ProductError(f"{RECIPE} did not pass:\n{done.output[-product.MAX_QUOTED :]}")
    report = Report.read(product.run_dir(run_id))
    ratio = report.seconds / baseline
    lines = [f"plain Docker {baseline:.1f} s, cold run {report.seconds:.1f} s: {ratio:.2f} x"]
    return lines + [f"  {name:<9} {seconds:6.2f} s" for name, seconds in report.phases.items()]
