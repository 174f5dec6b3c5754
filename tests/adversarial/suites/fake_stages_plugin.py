"""A pytest plugin for runs without a Swarm: the generic stages pass, files are in memory.

Everything else is real: collection, suites, negative controls, events, verdicts, reports, exit code. Load it
with `-p tests.adversarial.suites.fake_stages_plugin` in a separate process.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from harness import lifecycle
from harness.recipe import git
from harness.runs import fault, preflight
from harness.runs import run as opening
from harness.runs.run import Run
from harness.stages import data
from harness.suites.app import App
from harness.swarm import containers, remove
from harness.swarm import engine as swarm
from tests.support.fake_docker import FakeDocker

FILES: dict[str, bytes] = {}
PASSING = ("lint", "install", "healthy", "redeploy_is_a_no_op", "back_up", "upgrade")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Install the fakes before the suite guard takes its snapshot of the harness."""
    engine = FakeDocker()
    fakes: list[tuple[ModuleType, str, object]] = [
        (swarm, "client", lambda: engine),
        (swarm, "view", lambda stack, api=None: swarm.StackView(stack, ())),
        (preflight, "check_host", lambda settings, api=None: None),
        (preflight, "host_problem", lambda settings: ""),
        (fault, "oom_kill", lambda run: None),
        (remove, "leftovers", lambda api, stack: ()),
        (git, "fetch_checkout", _fetch),
        (opening, "choose_base", lambda checkout, ref: opening.Base()),
        (opening, "head_version", lambda checkout: "1.0.0+1"),
        (containers, "write", lambda stack, service, path, data: FILES.update({path: data})),
        (containers, "read", lambda stack, service, path: FILES.get(path)),
        *((lifecycle, name, _pass) for name in PASSING),
        (lifecycle, "base", lifecycle.seed),
        (lifecycle, "restore", _lose_and_restore),
    ]
    for module, name, fake in fakes:
        setattr(module, name, fake)


def _fetch(source: str, ref: str, folder: Path, *, upstream_url: str) -> None:
    folder.mkdir(parents=True)


def _pass(run: Run, app: App | None = None) -> None:
    """Pass."""


def _lose_and_restore(run: Run, app: App) -> None:
    """Lose everything, prove the loss, and restore it."""
    kept = dict(FILES)
    data.wreck(run, app)
    FILES.clear()
    data.prove_the_loss(run, app)
    FILES.update(kept)
