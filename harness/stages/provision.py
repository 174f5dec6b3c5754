"""Preparing a deployment as an operator would: env file, the suite's overlays, secrets."""

from __future__ import annotations

import secrets as random
import shutil
import string
import tempfile
from pathlib import Path

from harness.recipe import env_sample
from harness.recipe.env_file import EnvFile, SecretSpec, missing_lines
from harness.runs.deployment import Deployment
from harness.runs.run import Run
from harness.secret import Secret
from harness.suites.app import App

INSERTED_LENGTH = 32  # characters of a secret that abra does not generate itself


def prepare(run: Run, app: App) -> Deployment:
    """Complete the env file that `abra app new` made, and read what is about to be deployed.

    The env file is read a second time after it is written: what is checked and used is what abra reads.
    """
    _complete_env(run, app)
    return _read(run, app)


def prepare_upgrade(run: Run, published: Deployment) -> Deployment:
    """Add the lines to the env file that are new in the head's sample, and read the head's deployment.

    Whole lines are added, because the comment after a value belongs to it: a secret without its
    `# length=` has the wrong length.

    Args:
        run: the run; its checkout is at the head.
        published: the version that runs now.
    """
    app = published.app
    path = run.env_path(app)
    lines = missing_lines(published.sample, env_sample.read(run.checkout_dir))
    env = EnvFile.read(path)
    for line in lines:
        env.append(line.replace(f"{run.recipe}.example.com", app.domain))
    env.write(path)
    for line in lines:
        run.recorder.note(f"new in the head's .env.sample: {line.split('=')[0]}")
    return _read(run, app)


def _read(run: Run, app: App) -> Deployment:
    deployment = Deployment.read(app, run.checkout_dir, run.env_path(app))
    run.deployments[app.domain] = deployment
    return deployment


def _complete_env(run: Run, app: App) -> None:
    """Set the domain, no certificate resolver, the suite's values and its overlays."""
    path = run.env_path(app)
    env = EnvFile.read(path)
    env.set("DOMAIN", app.domain)
    env.set("LETS_ENCRYPT_ENV", "")
    for key, value in run.suite_settings.env.items():
        env.set(key, value)
    overlays = run.suite_settings.compose_overlays
    if overlays:
        _copy_overlays(run, env, list(overlays))
    env.write(path)


def _copy_overlays(run: Run, env: EnvFile, names: list[str]) -> None:
    """Copy the suite's overlay files into the checkout and enable them."""
    for name in names:
        shutil.copyfile(
            run.settings.suites_dir / run.recipe / name, run.checkout_dir / Path(name).name
        )
    present = (env.get("COMPOSE_FILE") or "compose.yml").split(":")
    env.set("COMPOSE_FILE", ":".join([*present, *(n for n in names if n not in present)]))


def make_secrets(run: Run, deployment: Deployment) -> None:
    """Generate the secrets that abra generates, insert the others; the redactor learns every value."""
    app, specs = deployment.app, deployment.secrets
    if not specs:
        return
    _learn(run, app, run.abra.app_secret_generate(app.domain))
    states = {state.name: state for state in run.abra.app_secret_ls(app.domain)}
    for spec in specs:
        state = states.get(spec.name)
        if not spec.generate and (state is None or not state.created):
            _insert(run, app, spec)


def _insert(run: Run, app: App, spec: SecretSpec) -> None:
    """Insert a random value from a file, so that it is in no argument list."""
    letters = string.ascii_letters + string.digits
    value = Secret("".join(random.choice(letters) for _ in range(spec.length or INSERTED_LENGTH)))
    _learn(run, app, {spec.name: value})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        path.touch(mode=0o600)
        path.write_text(value.reveal())
        run.abra.app_secret_insert(app.domain, spec.name, spec.version, path)


def _learn(run: Run, app: App, made: dict[str, Secret]) -> None:
    """Remember secrets, so that suites can use them and every output is masked."""
    redactor = run.recorder.redactor
    app.secrets.update(made)
    redactor.learn(made.values())
    for name in sorted(name for name, value in made.items() if redactor.is_weak(value)):
        run.recorder.note(
            f"secret '{name}' is too short or too common a word to be masked in logs and reports"
        )
