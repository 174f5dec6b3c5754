"""As much of a run and an app as a stage uses, without a Swarm."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.errors import RecipeFailure
from harness.runs.run import Base
from harness.suites.suite_settings import SuiteSettings

HEAD = "617e8442" + "0" * 32
DOMAIN = "a.ci.test"


class StubRun:
    """A run with a checkout and an env file in a temporary folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.ref, self.recipe, self.base = HEAD, "hello", Base("b" * 40, "1.0.0+1")
        self.suite_settings = SuiteSettings(**settings)
        self.settings = SimpleNamespace(proxy_api="")
        self.notes: list[str] = []
        self.recorder = SimpleNamespace(
            phase=lambda name, life: contextlib.nullcontext(), note=self.notes.append
        )
        self.checkout_dir = folder / "checkout"
        self.checkout_dir.mkdir(exist_ok=True)
        self.deployments: dict[str, Any] = {DOMAIN: None}
        self._env = folder / "app.env"

    def checkout(self, ref: str) -> None:
        """Do nothing: the checkout is written by the test."""

    def env_path(self, app: object) -> Path:
        """Return the app's env file."""
        return self._env


def stub_app(answers: dict[str, int] | None = None) -> Any:
    """Return an app whose paths answer with these HTTP statuses."""

    def get(path: str, *, status: tuple[int, ...], timeout: float) -> object:
        answered = (answers or {})[path]
        if answered not in status:
            raise RecipeFailure(f"GET {path} answered {answered}")
        return SimpleNamespace(status_code=answered)

    names = {"stack": "s", "domain": DOMAIN, "life": "fresh", "recipe": "hello"}
    return SimpleNamespace(get=get, progress=lambda line: None, **names)
