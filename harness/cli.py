"""The command `cc-ci`: thin over pytest and the modules."""

from __future__ import annotations

import json
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
from harness.suites import collect
from harness.swarm import engine


def _settings() -> Settings:
    return settings_module.load(os.environ)


class _Sentences(click.Group):
    """Ends with one sentence and a status where an error of ours comes up."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except CcCiError as error:
            click.echo(f"cc-ci: {error}", err=True)
            ctx.exit(USAGE_EXIT_CODE if isinstance(error, UsageError) else INFRA_EXIT_CODE)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """CI for Co-op Cloud recipes: deploys a commit on a real Swarm and says what holds."""


@main.command("doctor")
def doctor_() -> None:
    """Say for each part what was found, or the one line that fixes it."""
    findings = doctor.examine(_settings())
    for finding in findings:
        click.echo(finding.line(doctor.PART_WIDTH))
    sys.exit(0 if all(f.ok for f in findings) else 1)


@main.command()
@click.argument("recipe")
@click.option("--quick", is_flag=True, help="The quick lane.")
def plan(recipe: str, quick: bool) -> None:
    """List what a run of a recipe would do, in order, without doing it."""
    _pytest(recipe, "--collect-only", "-q", *(["--quick"] if quick else []))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def run(recipe: str, options: tuple[str, ...]) -> None:
    """Test one recipe; OPTIONS go to pytest (--ref SHA, --quick, --stages a,b, --keep …)."""
    _pytest(recipe, *options)


@main.command("report")
@click.argument("run_id", required=False)
def report_(run_id: str | None) -> None:
    """Print a run's summary again, the newest run's without RUN_ID."""
    folder = _run_folder(_settings().runs_dir, run_id)
    click.echo(terminal.summary(run_dir.read(folder), folder))


def _run_folder(runs: Path, run_id: str | None) -> Path:
    if run_id:
        folder = runs / run_id
    else:
        logs = sorted(runs.glob(f"*/{run_files.EVENTS}"), key=lambda path: path.stat().st_mtime)
        folder = logs[-1].parent if logs else runs
    if not (folder / run_files.EVENTS).is_file():
        raise UsageError(f"there is no run '{run_id or 'at all'}' in '{runs}'")
    return folder


@main.command("janitor")
@click.option("--now", "domain", default="", help="Remove this kept app now.")
def janitor_(domain: str) -> None:
    """Remove what no live run holds."""
    settings = _settings()
    preflight.host(settings)
    if domain:
        registry.keep(settings, domain, until=0.0)
    result = janitor.sweep(
        settings, engine.client(), own_run="", progress=click.echo, finish=run_dir.finish_dead
    )
    click.echo(str(result))


@main.command()
@click.argument("domain")
def attach(domain: str) -> None:
    """Show how to reach a kept app: its address, containers and logs."""
    settings = _settings()
    entry = next((e for e in registry.entries(settings) if e.domain == domain), None)
    if entry is None:
        raise UsageError(f"no app '{domain}' is registered here")
    host, port = settings.proxy_address
    click.echo(f"curl --connect-to '{domain}:443:{host}:{port}' https://{domain}/")
    for service in engine.view(entry.stack).services:
        for task in service.tasks:
            if task.running and task.container:
                click.echo(f"docker exec -it {task.container[:12]} sh   # {service.name}")


@main.command()
def demo() -> None:
    """Test the two demo recipes, then show one broken recipe caught."""
    from sandbox.trials import zoo

    sys.exit(zoo.demo(_settings()))


@main.command()
@click.argument("variants", nargs=-1)
def zoo(variants: tuple[str, ...]) -> None:
    """Run the broken recipes and require that each is caught, where and why it should be."""
    from sandbox.trials import zoo as module

    sys.exit(module.run_all(_settings(), variants))


@main.command()
@click.argument("floor", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def bench(floor: Path) -> None:
    """Run custom-html cold, and set its time beside FLOOR, the same plan by bare Docker (JSON)."""
    from sandbox.trials import zoo

    bare = float(json.loads(floor.read_text())["whole"])
    found = zoo.timed(_settings(), "custom-html")
    click.echo(
        f"bare Docker {bare:.1f} s, cold run {found.seconds:.1f} s: {found.seconds / bare:.2f} x"
    )
    for name, seconds in found.phases.items():
        click.echo(f"  {name:<9} {seconds:6.2f} s")


@main.command()
@click.option("--count", default=100, show_default=True, help="How many runs.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=CHECKOUT / ".bench" / "soak.jsonl",
    help="Where each run is kept, a line of JSON each.",
)
def soak(count: int, file: Path) -> None:
    """Run the demo recipes COUNT times and tell what is not on the host as it was before."""
    from harness.host import signals
    from sandbox.trials import soak as module

    settings = _settings()
    preflight.host(settings)
    signals.arm(deadline=count * 900.0)
    sys.exit(module.soak(settings, count, file, click.echo))


def _pytest(recipe: str, *options: str) -> None:
    known = collect.enrolled(_settings().suites_dir)
    preflight.asked(_settings(), recipe, "", ())
    assert recipe in known
    os.chdir(CHECKOUT)
    words = [sys.executable, "-m", "pytest", "recipes_tests", "--recipe", recipe, *options]
    os.execv(sys.executable, words)  # noqa: S606 - an argument list, no shell
