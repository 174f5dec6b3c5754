"""What an operator sets before a deployment: the app's env file, its secrets, its overlays."""

from __future__ import annotations

import secrets as random
import shutil
import string
import tempfile
from pathlib import Path

from harness.errors import RecipeFailure
from harness.host import wait
from harness.recipe.compose import Compose
from harness.recipe.env_file import UNDECODABLE, EnvFile, SecretSpec, missing_lines, secret_specs
from harness.recipe.limits import MAX_FILE_SIZE
from harness.runs.run import Run
from harness.secret import Secret
from harness.stages.sentinel import Place
from harness.suites.app import App
from harness.swarm import engine
from harness.swarm.backup import VOLUMES, Expected

ORPHAN_TIMEOUT = 60.0  # seconds for a removed service's tasks to end
INSERTED_LENGTH = 32  # characters of a secret that abra does not generate itself


def write_env(run: Run, app: App) -> None:
    """Complete the env file that `abra app new` made: no certificate resolver, the suite's values."""
    path = run.env_path(app)
    env = EnvFile.read(path)
    env.set("DOMAIN", app.domain)
    env.set("LETS_ENCRYPT_ENV", "")
    for key, value in run.suite_settings.env.items():
        env.set(key, value)
    overlays = run.suite_settings.compose_overlays
    if overlays:
        _place_overlays(run, env, list(overlays))
    env.write(path)


def _place_overlays(run: Run, env: EnvFile, names: list[str]) -> None:
    """Copy the suite's overlay files into the checkout and enable them."""
    for name in names:
        shutil.copyfile(
            run.settings.suites_dir / run.recipe / name, run.checkout_dir / Path(name).name
        )
    present = (env.get("COMPOSE_FILE") or "compose.yml").split(":")
    env.set("COMPOSE_FILE", ":".join([*present, *(n for n in names if n not in present)]))


def adopt_new_env(run: Run, app: App, old_sample: str) -> None:
    """Add the whole lines that the head's sample has and the base's had not.

    The comment behind a value belongs to it: a secret without its `# length=` has the wrong length.
    """
    path = run.env_path(app)
    lines = missing_lines(old_sample, sample(run))
    env = EnvFile.read(path)
    for line in lines:
        env.append(line.replace(f"{run.recipe}.example.com", app.domain))
    env.write(path)
    for line in lines:
        run.recorder.note(f"new in the head's .env.sample: {line.split('=')[0]}")


def sample(run: Run) -> str:
    """Return the present checkout's .env.sample.

    Raises:
        RecipeFailure: it is missing or larger than 1 MiB.
    """
    path = run.checkout_dir / ".env.sample"
    if not path.is_file():
        raise RecipeFailure(
            "the recipe has no file '.env.sample', so abra cannot make an app of it"
        )
    if path.stat().st_size > MAX_FILE_SIZE:
        raise RecipeFailure("'.env.sample' of the recipe is larger than 1 MiB")
    return path.read_bytes().decode(errors=UNDECODABLE)


def make_secrets(run: Run, app: App) -> None:
    """Generate what abra generates, insert what it does not; every value is known to the redactor."""
    specs = secret_specs(EnvFile.read(run.env_path(app)))
    if not specs:
        return
    made = run.abra.app_secret_generate(app.domain)
    _learn(run, app, made)
    states = {state.name: state for state in run.abra.app_secret_ls(app.domain)}
    for spec in specs:
        state = states.get(spec.name)
        if not spec.generate and (state is None or not state.created):
            _insert(run, app, spec)


def _insert(run: Run, app: App, spec: SecretSpec) -> None:
    """Insert a random value from a file, so that no argument list holds it."""
    letters = string.ascii_letters + string.digits
    value = Secret("".join(random.choice(letters) for _ in range(spec.length or INSERTED_LENGTH)))
    _learn(run, app, {spec.name: value})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        path.touch(mode=0o600)
        path.write_text(value.reveal())
        run.abra.app_secret_insert(app.domain, spec.name, spec.version, path)


def _learn(run: Run, app: App, made: dict[str, Secret]) -> None:
    app.secrets.update(made)
    run.recorder.redactor.learn(made.values())
    for name in sorted(
        name for name, value in made.items() if run.recorder.redactor.is_weak(value)
    ):
        run.recorder.note(
            f"secret '{name}' is too short or too plain a word to be masked in logs and reports"
        )


def compose(run: Run, app: App) -> Compose:
    """Return the compose files that the app's env file enables, as the checkout has them now."""
    values = EnvFile.read(run.env_path(app)).values()
    return Compose.load(run.checkout_dir, {**values, "STACK_NAME": app.stack})


def deploy_timeout(run: Run, app: App) -> float:
    """Return how long a deployment may take, in seconds: the larger of recipe's and suite's word."""
    own = compose(run, app).timeout or 0
    return float(max(own, run.suite_settings.timeouts.deploy))


def expected_in_snapshot(run: Run, app: App) -> list[Expected]:
    """Return every path that the recipe's backup labels promise for this app."""
    expected = []
    for covered in compose(run, app).covered:
        root = f"{VOLUMES}/{app.stack}_{covered.volume}/_data"
        if covered.paths is None:
            expected.append(Expected(root, dump=False))
        for path in covered.paths or ():
            expected.append(Expected(f"{root}/{path}", dump=covered.hook is not None))
    return expected


def witness_places(run: Run, app: App) -> list[Place]:
    """Return the volumes a witness goes into: those the backup takes whole, else all of them."""
    found = compose(run, app)
    if found.is_backup_capable:
        return [Place(c.service, c.volume, c.mount_path) for c in found.covered if c.paths is None]
    return [
        Place(service.name, mount.volume, mount.path)
        for service in found.services
        for mount in service.mounts
        if mount.volume
    ]


def remove_orphans(run: Run, app: App) -> None:
    """Remove services that the head's compose files no longer have; `stack deploy` leaves them.

    Raises:
        TimedOut: a removed service did not go.
    """
    wanted = {service.name for service in compose(run, app).services}
    orphans = [s for s in engine.view(app.stack).services if s.name not in wanted]
    for service in orphans:
        run.recorder.note(f"the head no longer has service '{service.name}': removed")
        engine.client().remove_service(service.id)

    def look() -> wait.Look[bool]:
        left = [s.name for s in engine.view(app.stack).services if s.name not in wanted]
        return wait.Look(", ".join(left) or "gone", None if left else True)

    wait.until(look, what="dropped services to go", timeout=ORPHAN_TIMEOUT)


def images(run: Run) -> tuple[str, ...]:
    """Return the images that the present checkout names, with its sample's settings."""
    values = {**EnvFile.parse(sample(run)).values(), **run.suite_settings.env}
    return Compose.load(run.checkout_dir, {**values, "STACK_NAME": "stack"}).images
