"""Each stage asks for every proof it rests on: where one says no, the stage does, and goes no further."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from harness import lifecycle
from harness.errors import CcCiError, InfraError, RecipeFailure, SuiteFailure
from harness.runs import preflight
from harness.stages import admission, deploy, provision, sentinel, upgrade
from harness.swarm import backup, engine, images, remove

HEAD = "617e8442" + "0" * 32
APP: Any = SimpleNamespace(
    stack="s", domain="a.ci.test", life="fresh", recipe="x", progress=lambda line: None
)


class Stage:
    """A run whose every question outside of its verbs is remembered, and one of them answered by no."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.no: dict[str, int] = {}
        self.ref, self.base_ref, self.base_version, self.recipe = HEAD, "b" * 40, "1", "x"
        self.settings = None
        recorder = {"phase": lambda *words: contextlib.nullcontext(), "note": lambda line: None}
        self.recorder = SimpleNamespace(**recorder)
        self.suite = SimpleNamespace(checks=[self.notices], wrecks=[], seeds=[self.made])
        timeouts = SimpleNamespace(backup=1, restore=1)
        self.suite_settings = SimpleNamespace(timeouts=timeouts)
        self.said = "restore finished"
        self.deployed, self.version, self.image = HEAD[:8], "1+1", "old"
        self.abra = self
        self.deployments = {APP.domain: deployment(self.version)}

    def ask(self, name: str, answer: object = None) -> Any:
        """Return a function that remembers being asked, and may say no."""

        def asked(*words: object, **more: object) -> object:
            self.asked.append(name)
            if self.no.get(name) == self.asked.count(name):
                raise RecipeFailure(f"{name} says no")
            return answer

        return asked

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("app_", "checkout", "env_path")):
            return self.ask(name, SimpleNamespace(text=self.said))
        raise AttributeError(name)

    def notices(self, app: object) -> None:
        """Notice the loss, as an honest check does."""
        raise AssertionError("lost")

    def made(self, app: object) -> None:
        """Make what an owner would."""
        self.ask("seed")()

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
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A run in which all goes well unless told otherwise."""
    made = Stage()
    for module, names in {
        preflight: "enough",
        admission: "admit_checkout admit_deployment warn",
        images: "pull",
        provision: "make_secrets",
        upgrade: "remove_orphans",
        deploy: "settle healthy post_deploy",
    }.items():
        for name in names.split():
            monkeypatch.setattr(module, name, made.ask(name))
    monkeypatch.setattr(backup, "verify", made.ask("verify", "abc"))
    monkeypatch.setattr(remove, "remove_stack", made.ask("remove_stack", ()))
    monkeypatch.setattr(provision, "prepare", made.ask("prepare", deployment("1+1")))
    monkeypatch.setattr(provision, "prepare_upgrade", lambda *words: deployment(made.version))
    monkeypatch.setattr(sentinel, "mounts", lambda deployment: [])
    monkeypatch.setattr(engine, "view", made.view)
    monkeypatch.setattr(engine, "client", lambda: None)
    return made


RESTS_ON = [
    ("install", "enough", 1, "checkout"),
    ("install", "admit_checkout", 1, "app_new"),
    ("install", "admit_deployment", 1, "pull"),
    ("install", "settle", 1, "post_deploy"),
    ("install", "post_deploy", 1, "-"),
    ("back_up", "settle", 1, "app_backup_create"),
    ("back_up", "verify", 1, "-"),
    ("restore", "enough", 1, "app_undeploy"),
    ("restore", "remove_stack", 1, "app_deploy"),
    ("restore", "settle", 1, "app_restore"),
    ("restore", "post_deploy", 1, "app_restore"),
    ("restore", "healthy", 1, "app_restore"),
    ("restore", "settle", 2, "-"),
    ("restore", "healthy", 2, "-"),
    ("base", "enough", 1, "checkout"),
    ("base", "healthy", 1, "seed"),
    ("base", "seed", 1, "-"),
    ("upgrade", "enough", 1, "checkout"),
    ("upgrade", "admit_checkout", 1, "pull"),
    ("upgrade", "admit_deployment", 1, "pull"),
    ("upgrade", "settle", 1, "remove_orphans"),
    ("upgrade", "remove_orphans", 1, "post_deploy"),
    ("upgrade", "post_deploy", 1, "healthy"),
    ("upgrade", "healthy", 1, "-"),
]


@pytest.mark.parametrize(("verb", "proof", "time", "never"), RESTS_ON, ids=lambda value: str(value))
def test_a_stage_rests_on_its_proofs(
    stage: Stage, verb: str, proof: str, time: int, never: str
) -> None:
    """A proof that says no fails the stage before what must not happen without it."""
    stage.no = {proof: time}
    with pytest.raises(CcCiError, match=f"{proof} says no"):
        getattr(lifecycle, verb)(stage, APP)
    assert never not in stage.asked


@pytest.mark.parametrize("verb", sorted({verb for verb, *_ in RESTS_ON}))
def test_a_stage_in_which_nothing_says_no_passes(stage: Stage, verb: str) -> None:
    """The play itself is fair."""
    getattr(lifecycle, verb)(stage, APP)


def test_a_loss_that_no_check_notices_is_told_before_the_restore(stage: Stage) -> None:
    """Afterwards nobody could say what brought the data back."""
    stage.suite.checks = [lambda app: None]
    with pytest.raises(SuiteFailure, match="every check still passes"):
        lifecycle.restore(stage, APP)  # type: ignore[arg-type]
    assert "app_restore" not in stage.asked


def test_a_restore_is_tried_on_what_was_emptied(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that does not go still holds everything, and a restore of nothing would pass."""
    left = (remove.Leftover("volume", "s_content", "in use"),)
    monkeypatch.setattr(remove, "remove_stack", stage.ask("remove_stack", left))
    with pytest.raises(InfraError, match=r"volume 's_content' \(in use\)"):
        lifecycle.restore(stage, APP)  # type: ignore[arg-type]
    assert "app_deploy" not in stage.asked


def test_a_restore_whose_hook_failed_is_refused(stage: Stage) -> None:
    """Whatever abra reports."""
    stage.said = "ERROR restore.post-hook of s_db failed\nrestore finished"
    with pytest.raises(RecipeFailure, match="a hook of the recipe failed"):
        lifecycle.restore(stage, APP)  # type: ignore[arg-type]


def test_an_upgrade_that_deployed_something_else_is_refused(stage: Stage) -> None:
    """The label's commit is asked for by the stage itself."""
    stage.deployed = "deadbeef"
    with pytest.raises(RecipeFailure, match="the head was never deployed"):
        lifecycle.upgrade(stage, APP)  # type: ignore[arg-type]


def test_an_upgrade_that_changed_nothing_is_refused(stage: Stage) -> None:
    """A new upstream version with the old images is one in name only."""
    stage.version = "1+2"
    with pytest.raises(RecipeFailure, match="the upgrade changed nothing"):
        lifecycle.upgrade(stage, APP)  # type: ignore[arg-type]
