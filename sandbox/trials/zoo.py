"""The zoo: recipes that are broken on purpose. Each must be caught at its own stage and for its own reason.

A CI that is always green proves nothing. The variants are in `sandbox/recipes/broken/<variant>`; their
`variant.yml` names the recipe they are made of, and the expected stage, verdict and reason.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from sandbox.host import paths
from sandbox.host.recipes_setup import BROKEN
from sandbox.host.shell import SetupError, UsageError
from sandbox.trials import product
from sandbox.trials.product import Finished, ProductError, Report

SUITES = paths.CHECKOUT / "recipes_tests"
GENERIC_SUITE = "test_lifecycle.py"


@dataclass(frozen=True, slots=True)
class Variant:
    """One broken recipe: the recipe it is made of, and where and why it must be caught."""

    name: str
    of: str
    stage: str
    reason: str  # regular expression
    verdict: str

    @property
    def recipe(self) -> str:
        """The name of its repository."""
        return f"broken-{self.name}"


def variants(names: Sequence[str] = ()) -> list[Variant]:
    """Return all variants, or the named ones.

    Raises:
        UsageError: there is no variant of that name.
    """
    found = [_load(path) for path in sorted(BROKEN.glob("*/variant.yml"))]
    unknown = sorted(set(names) - {variant.name for variant in found})
    if unknown:
        known = ", ".join(variant.name for variant in found)
        raise UsageError(f"there is no variant '{unknown[0]}'; known variants: {known}")
    return [variant for variant in found if not names or variant.name in names]


def _load(path: Path) -> Variant:
    body = yaml.safe_load(path.read_text())
    return Variant(path.parent.name, body["of"], body["stage"], body["reason"], body["verdict"])


@contextmanager
def suites(chosen: Sequence[Variant]) -> Iterator[Path]:
    """Make a folder of suites for variants: each uses the suite of the recipe it is made of."""
    with tempfile.TemporaryDirectory(prefix="cc-ci-zoo-") as name:
        folder = Path(name)
        shutil.copy(SUITES / GENERIC_SUITE, folder)
        for variant in chosen:
            own = BROKEN / variant.name / "suite"
            shutil.copytree(own if own.is_dir() else SUITES / variant.of, folder / variant.recipe)
        yield folder


def run(variant: Variant) -> tuple[Finished, Report]:
    """Run one variant in a process of its own, as a recipe is run; return the process and the report.

    Raises:
        ProductError: the run left no report.
    """
    run_id = f"zoo-{variant.name}-{os.getpid()}-{int(time.time())}"
    with suites([variant]) as folder:
        done = product.run(variant.recipe, run_id, suites=folder)
    try:
        return done, Report.read(product.run_dir(run_id))
    except ProductError as error:
        raise ProductError(f"{error}:\n{done.output[-product.MAX_QUOTED :]}") from error


def problem(variant: Variant, exit_code: int, report: Report) -> str | None:
    """Return why a variant was not caught as expected, or None."""
    if report.verdict != variant.verdict:
        return f"verdict {report.verdict}, expected {variant.verdict}: {report.reason}"
    if exit_code != report.verdict.exit_code:
        return f"exit code {exit_code}, expected {report.verdict.exit_code}"
    if report.stage != variant.stage:
        return f"caught in stage {report.stage}, expected {variant.stage}: {report.reason}"
    if not re.search(variant.reason, "\n".join([report.reason, *report.failures])):
        return f"the reason does not match '{variant.reason}': {report.reason}"
    cleanup = report.stages.get("cleanup", "absent")
    return None if cleanup == "pass" else f"stage cleanup: {cleanup}"


def run_all(names: Sequence[str]) -> int:
    """Run variants, two at the same time, and print how each was caught; return 0 if all were as expected."""
    chosen = variants(names)
    print(f"{len(chosen)} broken recipes, two at the same time; each must be caught …", flush=True)
    with ThreadPoolExecutor(paths.CAPACITY) as pool:
        caught = sum(pool.map(_caught, chosen))
    print(f"{caught} of {len(chosen)} broken recipes caught at the expected stage and reason")
    return 0 if caught == len(chosen) else 1


def _caught(variant: Variant) -> bool:
    """Run one variant, print how it was caught, and return True if that was as expected."""
    try:
        done, report = run(variant)
    except SetupError as error:
        print(f"✗ {variant.name}: {error}", flush=True)
        return False
    wrong = problem(variant, done.exit_code, report)
    reason = " ".join(report.reason.split())[:160]
    text = wrong or f"caught in stage {report.stage}: {reason}"
    print(f"{'✗' if wrong else '✓'} {variant.name} ({report.seconds:.0f} s): {text}", flush=True)
    return wrong is None
