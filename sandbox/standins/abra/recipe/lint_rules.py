"""abra's lint rules R001 to R015."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.standins.abra.files import compose, versions
from sandbox.standins.abra.files.compose import Compose, Tree
from sandbox.standins.abra.files.env_file import interpolate

Severity = Literal["warn", "error"]
MAX_SECRET_NAME = 12  # characters
UNSTABLE_TAGS = frozenset({"latest", "main", "master", "edge", "dev", "nightly"})
SEMVER_LIKE = re.compile(r"v?\d+(\.\d+)*([-.+_].*)?")
CONFIG_VERSION = re.compile(r"\$\{?(\w+_VERSION)")
METADATA = ("Category", "Status", "Image", "Healthcheck", "Backups", "Email", "Tests", "SSO")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the rules look at.

    Attributes:
        merged: all compose files of the checkout, merged.
        sample: the values of .env.sample, None without that file.
        exported: the variables that abra.sh exports.
        readme: the text of README.md.
        tags: True for each tag that is annotated.
    """

    merged: Compose
    sample: dict[str, str] | None
    exported: dict[str, str]
    readme: str
    tags: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One of abra's rules, with the texts that abra prints."""

    ref: str
    text: str
    severity: Severity
    resolve: str
    holds: Callable[[Recipe], bool]
    skipped: Callable[[Recipe], bool] = lambda recipe: False


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one rule."""

    rule: Rule
    satisfied: bool
    skipped: bool

    @property
    def critical(self) -> bool:
        """True if an error-level rule does not hold."""
        return self.rule.severity == "error" and not self.satisfied and not self.skipped


def judge(recipe: Recipe) -> list[Result]:
    """Apply every rule."""
    results = []
    for rule in RULES:
        skipped = rule.skipped(recipe)
        results.append(Result(rule, not skipped and rule.holds(recipe), skipped))
    return results


def _services(recipe: Recipe) -> list[Tree]:
    return list(recipe.merged.services.values())


def _images(recipe: Recipe) -> list[str]:
    values = {**(recipe.sample or {}), **recipe.exported}
    named = [str(service["image"]) for service in _services(recipe) if service.get("image")]
    return [interpolate(image, values) for image in named]


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _has_healthcheck(service: Tree) -> bool:
    return bool(service.get("healthcheck"))


def _has_metadata(readme: str) -> bool:
    found = re.search(r"<!-- metadata -->(.*?)<!-- endmetadata -->", readme, re.DOTALL)
    if found is None:
        return False
    keys = re.findall(r"\*\*(\w+)\*\*:?\s*\S", found[1])
    return all(key in keys for key in METADATA)


def _is_routed(recipe: Recipe) -> bool:
    services = _services(recipe)
    return any(compose.deploy_labels(s).get("traefik.enable") == "true" for s in services)


def _exports_config_versions(recipe: Recipe) -> bool:
    names = [str(body.get("name") or "") for body in recipe.merged.section("configs").values()]
    wanted = [found[1] for name in names if (found := CONFIG_VERSION.search(name))]
    return all(name in recipe.exported for name in wanted)


def _has_annotated_tags(recipe: Recipe) -> bool:
    return all(annotated for tag, annotated in recipe.tags.items() if versions.is_version(tag))


def _has_short_secret_names(recipe: Recipe) -> bool:
    return all(len(key) <= MAX_SECRET_NAME for key in recipe.merged.section("secrets"))


def _always(recipe: Recipe) -> bool:
    return True


RULES = (
    Rule(
        "R001",
        "compose config has expected version",
        "warn",
        "ensure 'version: \"3.8\"' in compose configs",
        lambda r: r.merged.version == "3.8",
    ),
    Rule(
        "R002",
        "healthcheck enabled for all services",
        "warn",
        "wire up healthchecks",
        lambda r: all(_has_healthcheck(s) for s in _services(r)),
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
        lambda r: not any(_tag(i) in UNSTABLE_TAGS for i in _images(r)),
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
        _always,
        _always,
    ),
    Rule(
        "R007",
        "README.md metadata filled in",
        "warn",
        "fill out all the metadata",
        lambda r: _has_metadata(r.readme),
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
        lambda r: "app" in r.merged.services,
    ),
    Rule(
        "R010",
        "traefik routing enabled",
        "error",
        'include "traefik.enable=true" deploy label',
        _is_routed,
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
        _exports_config_versions,
    ),
    Rule(
        "R013",
        "git.coopcloud.tech repo exists",
        "warn",
        "upload your recipe to git.coopcloud.tech",
        _always,
        _always,
    ),
    Rule(
        "R014",
        "only annotated tags used for recipe version",
        "error",
        "replace lightweight tag with annotated tag",
        _has_annotated_tags,
    ),
    Rule(
        "R015",
        "long secret names",
        "warn",
        "reduce length of secret names to 12 chars",
        _has_short_secret_names,
    ),
)
