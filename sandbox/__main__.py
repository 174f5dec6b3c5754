"""`python -m sandbox`: a CI host on this machine, and the commands that try the product on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from contract.verdicts import USAGE_EXIT_CODE
from sandbox.ci.full_stack import FullStack
from sandbox.forge import frontend, gitea_build
from sandbox.host import paths, test_bed
from sandbox.host.shell import SetupError, say
from sandbox.trials import baseline, bench, demo, doctor, soak, zoo


class _Group(click.Group):
    """Prints an error of the sandbox as one message and exits with its code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SetupError as error:
            click.echo(f"sandbox: {error}", err=True)
            ctx.exit(error.exit_code)
        except click.UsageError as error:
            error.show()
            ctx.exit(USAGE_EXIT_CODE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A CI host on this machine, and the commands that try the product on it."""


@main.command()
def up() -> None:
    """Set up the test bed.

    It has Docker with a swarm, a proxy, a backup bot, images and recipes. What exists stays as it is.
    """
    test_bed.up()


@main.command()
def down() -> None:
    """Remove proxy and backup bot.

    Docker, swarm, images and cache stay.
    """
    test_bed.down()


@main.command("build-forge")
def build_forge() -> None:
    """Build Gitea (minutes, once)."""
    gitea_build.build()


@main.command("full-stack-up")
def full_stack_up() -> None:
    """Start Gitea, Drone and the bridge.

    Also creates recipes and pull requests to try them on. What runs already stays as it is.
    """
    stack = FullStack(paths.FULL_STACK, paths.FULL_STACK_PORT, pages=frontend.static())
    stack.up()
    click.echo(stack.guide())


@main.command("full-stack-down")
def full_stack_down() -> None:
    """Stop and remove Gitea, Drone and the bridge."""
    if not paths.FULL_STACK.exists():
        say("there is no sandbox to remove")
        return
    FullStack(paths.FULL_STACK, paths.FULL_STACK_PORT).down()
    say("Gitea, Drone and the bridge are removed; `make down` removes proxy and backup bot")


@main.command("doctor")
def doctor_() -> None:
    """Check the host and the test bed.

    Prints the findings of `cc-ci doctor`, then checks what only the test bed needs.
    """
    sys.exit(doctor.doctor())


@main.command("demo")
def demo_() -> None:
    """Test two good recipes and a broken one."""
    sys.exit(demo.demo())


@main.command("zoo")
@click.argument("variants", nargs=-1)
def zoo_(variants: tuple[str, ...]) -> None:
    """Run the broken recipes; each must be caught.

    Runs all of them, or VARIANTS. Each must be caught at its own stage and for its own reason.
    """
    sys.exit(zoo.run_all(variants))


@main.command("soak")
@click.option("--count", default=100, show_default=True, help="Number of runs.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=paths.CHECKOUT / ".bench" / "soak.jsonl",
    help="Write each run to this file, as one line of JSON.",
)
def soak_(count: int, file: Path) -> None:
    """Run the demo recipes many times, report leaks.

    Docker objects, processes and files are compared before and after COUNT runs.
    """
    sys.exit(soak.soak(count, file))


@main.command("baseline")
def baseline_() -> None:
    """Time the steps of a run with plain Docker.

    Prints the seconds of each step as JSON.
    """
    click.echo(json.dumps(baseline.measure(), indent=1))


@main.command("bench")
@click.argument(
    "baseline_file",
    metavar="[BASELINE]",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
def bench_(baseline_file: Path | None) -> None:
    """Compare a cold run with plain Docker.

    BASELINE is a file with the output of `baseline`; without it the baseline is measured first.
    """
    text = baseline_file.read_text() if baseline_file else json.dumps(baseline.measure())
    for line in bench.bench(float(json.loads(text)["whole"])):
        click.echo(line)


if __name__ == "__main__":
    main()
