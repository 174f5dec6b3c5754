"""What a recipe's checkout must be like before abra may see it, and an app before it is deployed.

abra puts nothing between a recipe and this host: it reads the files as root and hands them to Swarm.
So this is looked at for every version, the published one and the head alike.
"""

from __future__ import annotations

import re

from harness.errors import RecipeFailure
from harness.recipe import abra_sh, env_sample, flaws, hazards, post_deploy, yaml_loading
from harness.recipe.env_file import EnvFile, SecretSpec, secret_specs
from harness.recipe.hazards import Hazard
from harness.runs.run import Run
from harness.stages import provision
from harness.suites.app import App
from harness.swarm import engine

SECRET_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LONGEST_SECRET = 4096  # characters


def admit_checkout(run: Run) -> None:
    """Refuse a checkout that could do something by being read.

    Raises:
        RecipeFailure: a compose file that is none, an `.env.sample` that readers disagree about, an
            `abra.sh` that does more than export values and define functions; names file and line.
    """
    yaml_loading.require_readable(run.checkout_dir)
    wrong = env_sample.problem(provision.sample(run), run.recipe)
    if wrong:
        raise RecipeFailure(f"'.env.sample' of the recipe, {wrong}")
    problem = abra_sh.problem(run.checkout_dir)
    found = [Hazard("shell", "abra.sh", problem)] if problem else []
    _refuse(hazards.refusal(found, run.suite_settings.allow))


def admit_app(run: Run, app: App) -> None:
    """Refuse what an app would do to the host, and what no deployment can cure.

    Raises:
        RecipeFailure: hazards that the suite does not allow; names too long, host folders that are
            missing (S5), durations that abra reads before it puts variables in (R5), services that
            no node may run, words for abra that could be taken for its flags.
    """
    found = provision.compose(run, app)
    asked = hazards.find(found, run.checkout_dir, app.stack)
    _refuse(hazards.refusal(asked, run.suite_settings.allow))
    env = EnvFile.read(run.env_path(app))
    post_deploy.post_deploy_commands(env.get("POST_DEPLOY_CMDS") or "")
    problems = [
        *flaws.durations(found),
        *flaws.missing_binds(found),
        *flaws.names(found, app.stack),
        *flaws.placements(found, engine.nodes()),
        *(problem for spec in secret_specs(env) for problem in _secret_problems(spec)),
    ]
    _refuse("; ".join(problems))


def warn(run: Run, app: App) -> None:
    """Note what will go wrong one day."""
    for text in flaws.warnings(provision.compose(run, app)):
        run.recorder.note(text)


def _secret_problems(spec: SecretSpec) -> list[str]:
    """Return what is wrong with a secret's declaration; its version becomes a word of abra's command."""
    found = []
    if not SECRET_VERSION.fullmatch(spec.version):
        found.append(f"the version of secret '{spec.name}' is '{spec.version}', which is none")
    if (spec.length or 0) > LONGEST_SECRET:
        found.append(f"secret '{spec.name}' is to have {spec.length} characters; 4096 is the most")
    return found


def _refuse(why: str) -> None:
    if why:
        raise RecipeFailure(why)
