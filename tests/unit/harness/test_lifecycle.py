"""Each stage relies on checks: if one of them fails, the stage fails too and goes no further."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from harness import lifecycle
from harness.errors import CcCiError, InfraError, RecipeFailure, SuiteFailure
from harness.runs import preflight
from harness.runs.run import Base
from harness.stages import admission, deploy, provision, sentinel, upgrade
from harness.swarm import backup, engine, images, remove

LIFECYCLE: Any = lifecycle  # takes the fakes below
HEAD = "617e8442" + "0" * 32
APP: Any = SimpleNamespace(
    stack="s", domain="a.ci.test", life="fresh", recipe="x", progress=lambda line: None
)


class FakeRun:
    """A run that records every call that a stage makes, and lets one of them fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, int] = {}  # name: which of its calls fails
        self.ref, self.base, self.recipe = HEAD, Base("b" * 40, "1"), "x"
        self.settings = None
        recorder = {"phase": lambda *words: contextlib.nullcontext(), "note": lambda line: None}
        self.recorder = SimpleNamespace(**recorder)
        self.suite = SimpleNamespace(checks=[self.notices], wrecks=[], seeds=[self.made])
        timeouts = SimpleNamespace(backup=1, restore=1)
        self.suite_settings = SimpleNamespace(timeouts=timeouts)
        self.output = "restore finished"
        self.deployed, self.version, self.image = HEAD[:8], "1+1", "old"
        self.abra = self
        self.deployments = {APP.domain: deployment(self.version)}

    def fake(self, name: str, result: object = None) -> Any:
        """Return a function that records its calls, and may fail."""

        def called(*words: object, **more: object) -> object:
            self.calls.append(name)
            if self.failing.get(name) == self.calls.count(name):
                raise RecipeFailure(f"{name} failed")
            return result

        return called

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("app_", "checkout", "env_path")):
            return self.fake(name, SimpleNamespace(text=self.output))
        raise AttributeError(name)

    def notices(self, app: object) -> None:
        """Notice the loss, as an honest check does."""
        raise AssertionError("lost")

    def made(self, app: object) -> None:
        """Create data, as a seed does."""
        self.fake("seed")()

    def view(self, stack: str) -> Any:
        """Return the one service of the stack."""
        labels = {"coop-cloud.s.chaos-version": self.deployed}
        service = SimpleNamespace(name="app", labels=labels, image=self.image, tasks=())
        return SimpleNamespace(services=[service], service=lambda name: service)


def deployment(version: str) -> Any:
    """Return a deployment of a version."""
    compose = SimpleNamespace(version=version, is_backup_capable=True, images=(), covered=())
    return SimpleNamespace(app=APP, compose=compose)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """A run in which nothing fails."""
    made = FakeRun()
    for module, names in {
        preflight: "check_resources",
        admission: "admit_checkout admit_deployment warn",
        images: "pull",
        provision: "make_secrets",
        upgrade: "remove_orphans",
        deploy: "settle healthy post_deploy",
    }.items():
        for name in names.split():
            monkeypatch.setattr(module, name, made.fake(name))
    monkeypatch.setattr(backup, "verify", made.fake("verify", "abc"))
    monkeypatch.setattr(remove, "remove_stack", made.fake("remove_stack", ()))
    monkeypatch.setattr(provision, "prepare", made.fake("prepare", deployment("1+1")))
    monkeypatch.setattr(provision, "prepare_upgrade", lambda *words: deployment(made.version))
    monkeypatch.setattr(sentinel, "mounts", lambda deployment: [])
    monkeypatch.setattr(engine, "view", made.view)
    monkeypatch.setattr(engine, "client", lambda: None)
    return made


RELIES_ON = [
    ("install", "check_resources", 1, "checkout"),
    ("install", "admit_checkout", 1, "app_new"),
    ("install", "admit_deployment", 1, "pull"),
    ("install", "settle", 1, "post_deploy"),
    ("install", "post_deploy", 1, "-"),
    ("back_up", "settle", 1, "app_backup_create"),
    ("back_up", "verify", 1, "-"),
    ("restore", "check_resources", 1, "app_undeploy"),
    ("restore", "remove_stack", 1, "app_deploy"),
    ("restore", "settle", 1, "app_restore"),
    ("restore", "post_deploy", 1, "app_restore"),
    ("restore", "healthy", 1, "app_restore"),
    ("restore", "settle", 2, "-"),
    ("restore", "healthy", 2, "-"),
    ("base", "check_resources", 1, "checkout"),
    ("base", "healthy", 1, "seed"),
    ("base", "seed", 1, "-"),
    ("upgrade", "check_resources", 1, "checkout"),
    ("upgrade", "admit_checkout", 1, "pull"),
    ("upgrade", "admit_deployment", 1, "pull"),
    ("upgrade", "settle", 1, "remove_orphans"),
    ("upgrade", "remove_orphans", 1, "post_deploy"),
    ("upgrade", "post_deploy", 1, "healthy"),
    ("upgrade", "healthy", 1, "-"),
]


@pytest.mark.parametrize(
    ("stage", "check", "nth", "not_reached"), RELIES_ON, ids=lambda value: str(value)
)
def test_a_stage_fails_with_its_checks(
    run: FakeRun, stage: str, check: str, nth: int, not_reached: str
) -> None:
    """A failed check fails the stage before what must not happen without it."""
    run.failing = {check: nth}
    with pytest.raises(CcCiError, match=f"{check} failed"):
        getattr(LIFECYCLE, stage)(run, APP)
    assert not_reached not in run.calls


@pytest.mark.parametrize("stage", sorted({stage for stage, *_ in RELIES_ON}))
def test_a_stage_without_a_failed_check_passes(run: FakeRun, stage: str) -> None:
    """Otherwise the test above would prove nothing."""
    getattr(LIFECYCLE, stage)(run, APP)


def test_a_loss_that_no_check_notices_fails_before_the_restore(run: FakeRun) -> None:
    """After the restore it would not be clear what brought the data back."""
    run.suite.checks = [lambda app: None]
    with pytest.raises(SuiteFailure, match="every check still passes"):
        LIFECYCLE.restore(run, APP)
    assert "app_restore" not in run.calls


def test_a_volume_that_cannot_be_removed_stops_the_restore(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still holds everything, so restoring nothing would pass."""
    left = (remove.Leftover("volume", "s_content", "in use"),)
    monkeypatch.setattr(remove, "remove_stack", run.fake("remove_stack", left))
    with pytest.raises(InfraError, match=r"volume 's_content' \(in use\)"):
        LIFECYCLE.restore(run, APP)
    assert "app_deploy" not in run.calls


def test_a_restore_whose_hook_failed_is_refused(run: FakeRun) -> None:
    """Even if abra reports success."""
    run.output = "ERROR restore.post-hook of s_db failed\nrestore finished"
    with pytest.raises(RecipeFailure, match="a hook of the recipe failed"):
        LIFECYCLE.restore(run, APP)


def test_an_upgrade_that_deployed_something_else_is_refused(run: FakeRun) -> None:
    """The stage itself reads the label's commit."""
    run.deployed = "deadbeef"
    with pytest.raises(RecipeFailure, match="the head was never deployed"):
        LIFECYCLE.upgrade(run, APP)


def test_an_upgrade_that_changed_nothing_is_refused(run: FakeRun) -> None:
    """The version claims a new upstream release, but the images are the old ones."""
    run.version = "1+2"
    with pytest.raises(RecipeFailure, match="the upgrade changed nothing"):
        LIFECYCLE.upgrade(run, APP)
