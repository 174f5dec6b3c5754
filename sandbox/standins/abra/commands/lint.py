"""`recipe lint`: reads a recipe, applies abra's rules and prints their table."""

from __future__ import annotations

import os
import shutil

from sandbox.standins.abra import log
from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands import tables
from sandbox.standins.abra.commands.preconditions import require_terminal
from sandbox.standins.abra.files import abra_dir, compose, env_file
from sandbox.standins.abra.files.checkout import Checkout
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.recipe.lint_rules import Recipe, Result, judge
from sandbox.standins.abra.tools import docker

COLUMNS = ("REF", "RULE", "SEVERITY", "SATISFIED", "SKIPPED", "RESOLVE")


def recipe_lint(line: CommandLine) -> None:
    """Print the table of rules. A rule that does not hold gives a warning; the exit code stays 0.

    Raises:
        Fatal: the recipe cannot be linted.
    """
    require_terminal()
    checkout = abra_dir.current().checkout(line.args[0])
    checkout.ensure("", chaos=line.has("chaos"), offline=line.has("offline"))
    checkout.fetch_tags()
    results = judge(read(checkout))
    width = int(os.environ.get("COLUMNS") or 0) or shutil.get_terminal_size().columns
    print("\n".join(table(results, width)))
    if any(result.critical for result in results):
        log.warn(f"critical errors present in {checkout.recipe} config")


def require_no_errors(checkout: Checkout) -> None:
    """Refuse a recipe in which an error-level rule does not hold, as the deploy of a release does.

    Raises:
        Fatal: names the first such rule.
    """
    for result in judge(read(checkout)):
        if result.critical:
            rule = result.rule
            raise Fatal(f"lint error in {checkout.recipe}: {rule.ref}: {rule.text}")


def read(checkout: Checkout) -> Recipe:
    """Read everything that the rules look at.

    Raises:
        Fatal: the recipe is invalid.
    """
    folder = checkout.path
    sample_path, script, readme = folder / ".env.sample", folder / "abra.sh", folder / "README.md"
    sample = env_file.read(sample_path).values if sample_path.is_file() else None
    exported = env_file.exports(script.read_text()) if script.is_file() else {}
    files = compose.all_present(folder)
    try:
        if not files:
            raise Fatal("no compose file")
        merged = compose.load(files)
        values = {**(sample or {}), **exported, "STACK_NAME": checkout.recipe}
        environment = docker.compose_environment(values, os.environ)
        error_text = docker.stack_config([str(file) for file in files], env=environment)
        if error_text:
            raise Fatal(error_text)
    except Fatal as error:
        raise Fatal(f"unable to validate recipe: {error}") from error
    text = readme.read_text() if readme.is_file() else ""
    return Recipe(merged, sample, exported, text, checkout.tags())


def table(results: list[Result], width: int) -> list[str]:
    """Return the lines of the table.

    Args:
        results: one for each rule.
        width: columns of the terminal; a narrow one cuts the last column.
    """
    return tables.boxed([list(COLUMNS), *map(_cells, results)], width)


def _cells(result: Result) -> list[str]:
    satisfied = "✅" if result.satisfied else "-" if result.skipped else "❌"
    skipped = "✅" if result.skipped else "-"
    rule = result.rule
    return [rule.ref, rule.text, rule.severity, satisfied, skipped, rule.resolve]
