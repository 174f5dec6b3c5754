"""One deployed version of a recipe, read once: env file, compose files and sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.recipe import env_sample, post_deploy
from harness.recipe.compose import Compose
from harness.recipe.env_file import EnvFile, SecretSpec, secret_specs
from harness.suites.app import App


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of the recipe as it is deployed, or about to be, for one app.

    It is read when the checkout is at the version's commit and the env file is complete. Admission, waiting,
    backup and sentinel all use this value, so what was admitted is what is used. Later, abra itself changes
    only `TYPE` in the env file (it writes the deployed version there); nothing here depends on that line.

    Attributes:
        app: the app that it is deployed for.
        env: the app's env file, as abra reads it.
        compose: the compose files that the env file enables, merged.
        sample: the text of the version's `.env.sample`; an upgrade compares the head's sample with it.
    """

    app: App
    env: EnvFile
    compose: Compose
    sample: str

    @classmethod
    def read(cls, app: App, checkout: Path, env_path: Path) -> Deployment:
        """Read the checkout and the env file.

        Raises:
            RecipeFailure: a compose file or the sample is missing, too large or invalid.
        """
        env = EnvFile.read(env_path)
        values = {**env.values(), "STACK_NAME": app.stack}
        return cls(app, env, Compose.load(checkout, values), env_sample.read(checkout))

    @property
    def secrets(self) -> list[SecretSpec]:
        """The secrets that the env file declares."""
        return secret_specs(self.env)

    def post_deploy_commands(self) -> tuple[post_deploy.Command, ...]:
        """Return the commands to run after the deployment.

        Raises:
            RecipeFailure: `POST_DEPLOY_CMDS` is invalid.
        """
        return post_deploy.post_deploy_commands(self.env.get("POST_DEPLOY_CMDS") or "")
