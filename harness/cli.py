"""The command `cc-ci`: a thin layer over pytest and the packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from contract import run_files
from contract.verdicts import INFRA_EXIT_CODE, USAGE_EXIT_CODE
from harness import doctor
from harness import settings as settings_module
from harness.errors import CcCiError, UsageError
from harness.reporting import run_dir, terminal
from harness.runs import janitor, preflight, registry
from harness.settings import CHECKOUT, Settings
from harness.swarm import engine


def _settings() -> Settings:
    return settings_module.load(os.environ)


class _Group(click.Group):
    """Prints an error of ours as one message and exits with its code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except CcCiError as error:
            click.echo(f"cc-ci: {error}", err=True)
            ctx.exit(USAGE_EXIT_CODE if isinstance(error, UsageError) else INFRA_EXIT_CODE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """CI for Co-op Cloud recipes: deploys a commit on a real Swarm and tests it."""


@main.command("doctor")
def doctor_() -> None:
    """Check the host; print a fix for anything missing."""
    findings = doctor.examine(_settings())
    for finding in findings:
        click.echo(finding.line(doctor.PART_WIDTH))
    sys.exit(0 if all(f.ok for f in findings) else 1)


@main.command()
@click.argument("recipe")
@click.option("--quick", is_flag=True, help="Use the quick lane.")
def plan(recipe: str, quick: bool) -> None:
    """List the tests of a run, without running them."""
    _pytest(recipe, "--collect-only", "-q", *(["--quick"] if quick else []))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def run(recipe: str, options: tuple[str, ...]) -> None:
    """Test a recipe.

    OPTIONS go to pytest: --ref SHA, --quick, --stages a,b, --keep …
    """
    _pytest(recipe, *options)


@main.command("report")
@click.argument("run_id", required=False)
def report_(run_id: str | None) -> None:
    """Print the summary of a run.

    Without RUN_ID that of the newest run.
    """
    folder = _run_folder(_settings().runs_dir, run_id)
    click.echo(terminal.summary(run_dir.read(folder), folder))


def _run_folder(runs: Path, run_id: str | None) -> Path:
    if run_id:
        folder = runs / run_id
    else:
        logs = sorted(runs.glob(f"*/{run_files.EVENTS}"), key=lambda path: path.stat().st_mtime)
        folder = logs[-1].parent if logs else runs
    if not (folder / run_files.EVENTS).is_file():
        name = f"run '{run_id}'" if run_id else "run"
        raise UsageError(f"there is no {name} in '{runs}'")
    return folder


@main.command("janitor")
@click.option("--now", "domain", default="", help="Remove this kept app now.")
def janitor_(domain: str) -> None:
    """Remove leftovers of dead runs."""
    settings = _settings()
    preflight.check_host(settings)
    if domain:
        registry.keep(settings, domain, until=0.0)
    result = janitor.sweep(
        settings, engine.client(), own_run="", progress=click.echo, finish=run_dir.finish_dead
    )
    click.echo(str(result))


@main.command()
@click.argument("domain")
def attach(domain: str) -> None:
    """Print the commands that reach a kept app."""
    settings = _settings()
    entries = {entry.domain: entry for entry in registry.entries(settings)}
    entry = entries.get(domain)
    if entry is None:
        known = ", ".join(entries) or "none"
        raise UsageError(f"no app '{domain}' is registered on this host; registered: {known}")
    host, port = settings.proxy_address
    click.echo(f"curl --connect-to '{domain}:443:{host}:{port}' https://{domain}/")
    for service in engine.view(entry.stack).services:
        for task in service.tasks:
            if task.running and task.container:
                click.echo(f"docker exec -it {task.container[:12]} sh   # {service.name}")


def _pytest(recipe: str, *options: str) -> None:
    preflight.check_request(_settings().suites_dir, recipe, "", ())
    os.chdir(CHECKOUT)
    words = [sys.executable, "-m", "pytest", "recipes_tests", "--recipe", recipe, *options]
    os.execv(sys.executable, words)  # noqa: S606 - an argument list, no shell
