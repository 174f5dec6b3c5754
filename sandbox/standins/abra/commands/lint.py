"""`recipe lint`: abra's rules R001 to R015 and the table they are shown in."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.standins.abra import log
from sandbox.standins.abra.files import abra_dir, compose, env_file, versions
from sandbox.standins.abra.files.checkout import Checkout
from sandbox.standins.abra.files.compose import Compose, Tree
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker

Severity = Literal["warn", "error"]
COLUMNS = ("REF", "RULE", "SEVERITY", "SATISFIED", "SKIPPED", "RESOLVE")
LONGEST_SECRET = 12  # characters
UNSTABLE = frozenset({"latest", "main", "master", "edge", "dev", "nightly"})
SEMVER_LIKE = re.compile(r"v?\d+(\.\d+)*([-.+_].*)?")
CONFIG_VERSION = re.compile(r"\$\{?(\w+_VERSION)")
METADATA = ("Category", "Status", "Image", "Healthcheck", "Backups", "Email", "Tests", "SSO")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a lint looks at.

    sample: the values of .env.sample, None without one. tags: whether each is annotated.
    """

    found: Compose
    sample: dict[str, str] | None
    exported: dict[str, str]
    readme: str
    tags: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of abra's."""

    ref: str
    text: str
    severity: Severity
    resolve: str
    holds: Callable[[Recipe], bool]
    skipped: Callable[[Recipe], bool] = lambda recipe: False


@dataclass(frozen=True, slots=True)
class Row:
    """One rule's outcome."""

    rule: Rule
    satisfied: bool
    skipped: bool

    @property
    def broken(self) -> bool:
        """Whether an error-level rule does not hold."""
        return self.rule.severity == "error" and not self.satisfied and not self.skipped


def read(checkout: Checkout) -> Recipe:
    """Read everything a lint needs from a checkout.

    Raises:
        Fatal: the recipe itself is invalid.
    """
    folder = checkout.path
    sample_path, script, readme = folder / ".env.sample", folder / "abra.sh", folder / "README.md"
    sample = env_file.read(sample_path).values if sample_path.is_file() else None
    exported = env_file.exports(script.read_text()) if script.is_file() else {}
    files = compose.all_present(folder)
    try:
        if not files:
            raise Fatal("no compose file")
        found = compose.load(files)
        values = {**(sample or {}), **exported, "STACK_NAME": checkout.recipe}
        environment = abra_dir.compose_environment(values, os.environ)
        complaint = docker.stack_config([str(file) for file in files], env=environment)
        if complaint:
            raise Fatal(complaint)
    except Fatal as error:
        raise Fatal(f"unable to validate recipe: {error}") from error
    text = readme.read_text() if readme.is_file() else ""
    return Recipe(found, sample, exported, text, checkout.tags())


def judge(recipe: Recipe) -> list[Row]:
    """Apply every rule."""
    rows = []
    for rule in RULES:
        skipped = rule.skipped(recipe)
        rows.append(Row(rule, not skipped and rule.holds(recipe), skipped))
    return rows


def lint(checkout: Checkout) -> None:
    """Print the table; broken rules end with a warning, and the exit status stays 0.

    Raises:
        Fatal: the recipe cannot be linted at all.
    """
    checkout.fetch_tags()
    rows = judge(read(checkout))
    width = int(os.environ.get("COLUMNS") or 0) or shutil.get_terminal_size().columns
    print("\n".join(table(rows, width)))
    if any(row.broken for row in rows):
        log.warn(f"critical errors present in {checkout.recipe} config")


def require(checkout: Checkout) -> None:
    """Refuse a recipe with a broken error-level rule, as a release deploy does.

    Raises:
        Fatal: names the first rule.
    """
    for row in judge(read(checkout)):
        if row.broken:
            raise Fatal(f"lint error in {checkout.recipe}: {row.rule.ref}: {row.rule.text}")


def table(rows: list[Row], width: int) -> list[str]:
    """Return the table's lines; a narrow terminal cuts its last column."""
    cells = [list(COLUMNS)] + [_cells(row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    spare = width - sum(w + 3 for w in widths[:-1]) - 4
    widths[-1] = max(min(widths[-1], spare), 8)
    lines = ["┏" + "┳".join("━" * (w + 2) for w in widths) + "┓"]
    for number, row in enumerate(cells):
        texts = [_fit(text, w) for text, w in zip(row, widths, strict=True)]
        lines.append("┃ " + " ┃ ".join(texts) + " ┃")
        if number == 0:
            lines.append("┣" + "╋".join("━" * (w + 2) for w in widths) + "┫")
    return [*lines, "┗" + "┻".join("━" * (w + 2) for w in widths) + "┛"]


def _fit(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def _cells(row: Row) -> list[str]:
    satisfied = "✅" if row.satisfied else "-" if row.skipped else "❌"
    skipped = "✅" if row.skipped else "-"
    rule = row.rule
    return [rule.ref, rule.text, rule.severity, satisfied, skipped, rule.resolve]


def _services(recipe: Recipe) -> list[Tree]:
    return list(recipe.found.services.values())


def _images(recipe: Recipe) -> list[str]:
    values = {**(recipe.sample or {}), **recipe.exported}
    named = [str(service["image"]) for service in _services(recipe) if service.get("image")]
    return [compose.resolved(image, values) for image in named]


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _health(service: Tree) -> bool:
    return bool(service.get("healthcheck"))


def _filled(readme: str) -> bool:
    found = re.search(r"<!-- metadata -->(.*?)<!-- endmetadata -->", readme, re.DOTALL)
    if found is None:
        return False
    keys = re.findall(r"\*\*(\w+)\*\*:?\s*\S", found[1])
    return all(key in keys for key in METADATA)


def _routed(recipe: Recipe) -> bool:
    services = _services(recipe)
    return any(compose.deploy_labels(s).get("traefik.enable") == "true" for s in services)


def _config_versions(recipe: Recipe) -> bool:
    names = [str(body.get("name") or "") for body in recipe.found.section("configs").values()]
    wanted = [found[1] for name in names if (found := CONFIG_VERSION.search(name))]
    return all(name in recipe.exported for name in wanted)


def _annotated(recipe: Recipe) -> bool:
    return all(annotated for tag, annotated in recipe.tags.items() if versions.is_version(tag))


def _short_secrets(recipe: Recipe) -> bool:
    return all(len(key) <= LONGEST_SECRET for key in recipe.found.section("secrets"))


def _everywhere(recipe: Recipe) -> bool:
    return True


RULES = (
    Rule(
        "R001",
        "compose config has expected version",
        "warn",
        "ensure 'version: \"3.8\"' in compose configs",
        lambda r: r.found.version == "3.8",
    ),
    Rule(
        "R002",
        "healthcheck enabled for all services",
        "warn",
        "wire up healthchecks",
        lambda r: all(_health(s) for s in _services(r)),
    ),
    Rule(
        "R003",
        "all images use a tag",
        "warn",
        "use a tag for all images",
        lambda r: all(_tag(i) for i in _images(r)),
    ),
    Rule(
        "R004",
        "no unstable tags",
        "warn",
        "tag all images with stable tags",
        lambda r: not any(_tag(i) in UNSTABLE for i in _images(r)),
    ),
    Rule(
        "R005",
        "tags use semver-like format",
        "warn",
        "use semver-like tags",
        lambda r: all(SEMVER_LIKE.fullmatch(_tag(i)) for i in _images(r)),
    ),
    Rule(
        "R006",
        "has published catalogue version",
        "warn",
        "publish a recipe version to the catalogue",
        _everywhere,
        _everywhere,
    ),
    Rule(
        "R007",
        "README.md metadata filled in",
        "warn",
        "fill out all the metadata",
        lambda r: _filled(r.readme),
    ),
    Rule(
        "R008",
        ".env.sample provided",
        "error",
        "create an example .env.sample",
        lambda r: r.sample is not None,
    ),
    Rule(
        "R009",
        "one service named 'app'",
        "error",
        "name a service 'app'",
        lambda r: "app" in r.found.services,
    ),
    Rule(
        "R010",
        "traefik routing enabled",
        "error",
        'include "traefik.enable=true" deploy label',
        _routed,
        lambda r: "DOMAIN" not in (r.sample or {}),
    ),
    Rule(
        "R011",
        "all services have images",
        "error",
        'ensure "image: ..." set on all services',
        lambda r: all(s.get("image") for s in _services(r)),
    ),
    Rule(
        "R012",
        "config version are vendored",
        "error",
        "vendor config versions in an abra.sh",
        _config_versions,
    ),
    Rule(
        "R013",
        "git.coopcloud.tech repo exists",
        "warn",
        "upload your recipe to git.coopcloud.tech",
        _everywhere,
        _everywhere,
    ),
    Rule(
        "R014",
        "only annotated tags used for recipe version",
        "error",
        "replace lightweight tag with annotated tag",
        _annotated,
    ),
    Rule(
        "R015",
        "long secret names",
        "warn",
        "reduce length of secret names to 12 chars",
        _short_secrets,
    ),
)
