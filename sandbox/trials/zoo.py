"""Broken recipes on purpose: each must be caught, at its own stage and for its own reason.

A run that is always green proves nothing about the runner. The variants live in
`sandbox/recipes/broken/<variant>`; their `variant.yml` says what they are made of and what must be said.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from harness.errors import CcCiError, CommandFailed, InfraError, UsageError
from harness.host import proc
from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT, SLOTS, Settings
from harness.suites.collect import LIFECYCLE

BROKEN = CHECKOUT / "sandbox" / "recipes" / "broken"
RUN_TIMEOUT = 900.0  # seconds for one variant
SHOWN = "functional-fails"  # the broken recipe a newcomer sees in `make demo`


@dataclass(frozen=True, slots=True)
class Variant:
    """One broken recipe: what it is made of, and where and why it must be caught."""

    name: str
    of: str
    stage: str
    reason: str
    verdict: str

    @property
    def recipe(self) -> str:
        """The name of its repository."""
        return f"broken-{self.name}"


def variants(names: Sequence[str] = ()) -> list[Variant]:
    """Return all variants, or those named.

    Raises:
        UsageError: there is no variant of that name.
    """
    found = [_load(path) for path in sorted(BROKEN.glob("*/variant.yml"))]
    unknown = sorted(set(names) - {variant.name for variant in found})
    if unknown:
        known = ", ".join(variant.name for variant in found)
        raise UsageError(f"there is no variant '{unknown[0]}'; known are: {known}")
    return [variant for variant in found if not names or variant.name in names]


def _load(path: Path) -> Variant:
    body = yaml.safe_load(path.read_text())
    return Variant(path.parent.name, body["of"], body["stage"], body["reason"], body["verdict"])


@contextmanager
def suites(chosen: Sequence[Variant]) -> Iterator[Path]:
    """Make a folder of suites for variants: each uses the suite of the recipe it is made of."""
    with tempfile.TemporaryDirectory(prefix="cc-ci-zoo-") as name:
        folder = Path(name)
        source = CHECKOUT / "recipes_tests"
        shutil.copy(source / LIFECYCLE, folder)
        for variant in chosen:
            own = BROKEN / variant.name / "suite"
            shutil.copytree(own if own.is_dir() else source / variant.of, folder / variant.recipe)
        yield folder


def run(settings: Settings, variant: Variant, *, quiet: bool = True) -> tuple[int, Report]:
    """Run one variant as anybody would run a recipe; return pytest's exit status and the report.

    Raises:
        InfraError: the run left no report.
    """
    with suites([variant]) as folder:
        words: list[str | Path] = [
            "-c",
            CHECKOUT / "pytest.ini",
            "--rootdir",
            CHECKOUT,
            "-p",
            "harness.plugin",
        ]
        words += ["-p", "no:cacheprovider", folder]
        env = {"CCCI_SUITES_DIR": str(folder)}
        done, found = _pytest(settings, f"zoo-{variant.name}", words, variant.recipe, env)
    if not quiet:
        click.echo(done.out)
    return done.exit_code, found


def _pytest(
    settings: Settings, name: str, words: Sequence[str | Path], recipe: str, env: dict[str, str]
) -> tuple[proc.Completed, Report]:
    """Run the head of a sandbox recipe in a process of its own; return what it said and its report.

    Raises:
        InfraError: the run left no report.
    """
    session = f"{name}-{os.getpid()}-{int(time.time())}"
    argv = [sys.executable, "-m", "pytest", *words]
    argv += ["--recipe", recipe, "--ref", head_of(settings, recipe)]
    environment = {**os.environ, **env, "DRONE_BUILD_NUMBER": session}
    done = proc.run(argv, timeout=RUN_TIMEOUT, env=environment, cwd=CHECKOUT, check=False)
    directory = settings.runs_dir / session
    if not (directory / "report.json").is_file():
        raise InfraError(f"the run of {recipe} left no report:\n{done.text[-2000:]}")
    return done, run_dir.read(directory)


def head_of(settings: Settings, recipe: str) -> str:
    """Return the commit of a sandbox recipe's pull request.

    Raises:
        InfraError: the sandbox's set-up has not made it.
    """
    path = Path(settings.recipes_url.format(recipe=recipe) + ".head")
    try:
        return path.read_text().strip()
    except OSError as error:
        raise InfraError(f"'{path}' is missing; run `make setup`") from error


def problem(variant: Variant, status: int, found: Report) -> str | None:
    """Return what is wrong with how a variant was caught, or None."""
    if found.verdict.value != variant.verdict:
        return f"verdict {found.verdict.value}, expected {variant.verdict}: {found.reason}"
    if status != found.verdict.exit_code:
        return f"exit status {status}, expected {found.verdict.exit_code}"
    if found.stage != variant.stage:
        return f"caught at {found.stage}, expected {variant.stage}: {found.reason}"
    told = "\n".join([found.reason, *(f"{c.message}\n{c.details}" for c in found.failed)])
    if not re.search(variant.reason, told):
        return f"the reason does not match '{variant.reason}': {found.reason}"
    cleanup = next((s.outcome for s in found.stages if s.name == "cleanup"), "absent")
    return None if cleanup == "pass" else f"the cleanup is {cleanup}"


def run_all(settings: Settings, names: Sequence[str]) -> int:
    """Run variants, two at once, and tell how each was caught; 0 when all were, as they should."""
    chosen = variants(names)
    click.echo(f"{len(chosen)} broken recipes, two at once; each must be caught …")
    with ThreadPoolExecutor(SLOTS) as pool:
        wrong = sum(not right for right in pool.map(lambda v: _one(settings, v), chosen))
    right = len(chosen) - wrong
    click.echo(f"{right} of {len(chosen)} broken recipes caught where and why they should be")
    return 1 if wrong else 0


def _one(settings: Settings, variant: Variant) -> bool:
    """Run one variant, tell how it was caught, and say whether that was right."""
    try:
        status, found = run(settings, variant)
    except CcCiError as error:
        click.echo(f"✗ {variant.name}: {error}")
        return False
    said = problem(variant, status, found)
    told = f"{said}" if said else f"caught at {found.stage}: {' '.join(found.reason.split())[:160]}"
    click.echo(f"{'✗' if said else '✓'} {variant.name} ({found.seconds:.0f} s): {told}")
    return said is None


def demo(settings: Settings) -> int:
    """Run the two demo recipes, then one broken one, live; 0 when two are green and one is red."""
    for recipe in ("custom-html", "miniflux"):
        if _live(["--recipe", recipe, "--ref", head_of(settings, recipe)]) != 0:
            click.echo(f"the demo recipe {recipe} is not green")
            return 1
    click.echo(f"\nNow a broken one, {SHOWN}: red is right here.\n")
    (variant,) = variants([SHOWN])
    status, found = run(settings, variant, quiet=False)
    said = problem(variant, status, found)
    if said:
        click.echo(f"it was not caught as it should be: {said}")
        return 1
    click.echo(f"\nTwo recipes green, one broken recipe caught at {found.stage}: {found.reason}")
    return 0


def timed(settings: Settings, recipe: str) -> Report:
    """Run a demo recipe cold and return its report.

    Raises:
        InfraError: it is not green, so its time means nothing.
    """
    done, found = _pytest(settings, "bench", ["recipes_tests"], recipe, {})
    if done.exit_code != 0:
        raise InfraError(f"{recipe} is not green:\n{done.text[-2000:]}")
    return found


def _live(options: list[str]) -> int:
    """Run pytest on the suites with its output going straight to the terminal."""
    words = [sys.executable, "-m", "pytest", "recipes_tests", *options]
    try:
        return proc.attached(words, timeout=RUN_TIMEOUT, cwd=CHECKOUT)
    except CommandFailed as error:
        raise InfraError(str(error)) from error
