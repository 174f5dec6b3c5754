"""Checks of a recipe's checkout before abra reads it, and of a deployment before abra starts it.

abra puts nothing between a recipe and this host: it reads the files as root and hands them to Swarm. So
every version is checked, the published one and the head alike.
"""

from __future__ import annotations

import re

from harness.errors import RecipeFailure
from harness.recipe import abra_sh, env_sample, flaws, hazards, yaml_loading
from harness.recipe.env_file import SecretSpec
from harness.recipe.hazards import Hazard
from harness.runs.deployment import Deployment
from harness.runs.run import Run
from harness.swarm import engine

SECRET_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MAX_SECRET_LENGTH = 4096  # characters


def admit_checkout(run: Run) -> None:
    """Refuse a checkout that is dangerous to read.

    Raises:
        RecipeFailure: a compose file is invalid, readers would disagree about `.env.sample`, or `abra.sh`
            does more than export values and define functions; names file and line.
    """
    yaml_loading.require_readable(run.checkout_dir)
    wrong = env_sample.problem(env_sample.read(run.checkout_dir), run.recipe)
    if wrong:
        raise RecipeFailure(f"'.env.sample' of the recipe, {wrong}")
    problem = abra_sh.problem(run.checkout_dir)
    found = [Hazard("shell", "abra.sh", problem)] if problem else []
    _refuse(hazards.refusal(found, run.suite_settings.allow))


def admit_deployment(run: Run, deployment: Deployment) -> None:
    """Refuse a deployment that is dangerous for the host, or that cannot work.

    Raises:
        RecipeFailure: hazards that the suite does not allow; names that are too long, missing host folders
            (S5), durations that abra reads before it replaces variables (R5), services that no node may
            run, arguments that abra could take for its flags.
    """
    found = deployment.compose
    asked = hazards.find(found, run.checkout_dir, deployment.app.stack)
    _refuse(hazards.refusal(asked, run.suite_settings.allow))
    deployment.post_deploy_commands()  # raises if one is invalid
    problems = [
        *flaws.durations(found),
        *flaws.missing_binds(found),
        *flaws.names(found, deployment.app.stack),
        *flaws.placements(found, engine.nodes()),
        *(problem for spec in deployment.secrets for problem in _secret_problems(spec)),
    ]
    _refuse("; ".join(problems))


def warn(run: Run, deployment: Deployment) -> None:
    """Note what works today and is likely to fail later."""
    for text in flaws.warnings(deployment.compose):
        run.recorder.note(text)


def _secret_problems(spec: SecretSpec) -> list[str]:
    """Return what is wrong with a secret's declaration; its version becomes an argument of abra."""
    found = []
    if not SECRET_VERSION.fullmatch(spec.version):
        found.append(f"secret '{spec.name}' has the invalid version '{spec.version}'")
    if (spec.length or 0) > MAX_SECRET_LENGTH:
        found.append(
            f"secret '{spec.name}' asks for {spec.length} characters; the maximum is "
            f"{MAX_SECRET_LENGTH}"
        )
    return found


def _refuse(why: str) -> None:
    if why:
        raise RecipeFailure(why)
