"""What single verbs of a life decide, without a Swarm: health, the proof of the head, the base."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import BaseNotDeployable, RecipeFailure, SuiteFailure
from harness.recipe.env_file import EnvFile
from harness.stages import deploy, provision, restore, sentinel, upgrade
from harness.suites.outcome import outcome_of
from harness.suites.suite_settings import Health, SuiteSettings, Timeouts
from harness.swarm import engine

pytestmark = pytest.mark.usefixtures("moving_clock")

HEAD = "617e8442" + "0" * 32


class Run:
    """As much of a run as a verb asks for."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.ref, self.recipe, self.base_ref, self.base_version = HEAD, "hello", "b" * 40, "1.0.0+1"
        self.suite_settings = SuiteSettings(**settings)
        self.settings = SimpleNamespace(proxy_api="")
        self.recorder = SimpleNamespace(phase=lambda name, life: contextlib.nullcontext())
        self._env = tmp_path / "app.env"
        self.checkout_dir = tmp_path / "checkout"
        self.deployments: dict[str, object] = {"a.ci.test": None}

    def env_path(self, app: object) -> Path:
        """Return the app's env file."""
        return self._env


def app(answers: dict[str, int]) -> Any:
    """An app whose paths answer with these statuses."""

    def get(path: str, *, status: tuple[int, ...], timeout: float) -> object:
        if answers[path] not in status:
            raise RecipeFailure(f"GET {path} answered {answers[path]}")
        return SimpleNamespace(status_code=answers[path])

    return SimpleNamespace(
        get=get, life="fresh", progress=lambda line: None, stack="s", domain="a.ci.test"
    )


def test_incident_r6_the_suite_says_which_path_tells_health(tmp_path: Path) -> None:
    """R6: `/` answers 500 for ever; the path that the suite names decides, and without it 500 is told."""
    plausible = app({"/": 500, "/api/health": 200})
    deploy.healthy(Run(tmp_path, health=Health(path="/api/health")), plausible)  # type: ignore[arg-type]
    with pytest.raises(RecipeFailure, match="GET / answered 500"):
        deploy.healthy(Run(tmp_path, timeouts=Timeouts(health=5)), plausible)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "right"),
    [
        (HEAD[:8], True),
        (f"{HEAD[:8]}+U", True),
        ("deadbeef", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_incident_u1_only_the_head_itself_proves_the_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str, right: bool
) -> None:
    """U1: an upgrade to a tag, or to nothing, is no upgrade to the head (U2: `+U` does not matter)."""
    service = SimpleNamespace(name="app", labels={"coop-cloud.s.chaos-version": label})
    view = SimpleNamespace(service=lambda name: service)
    monkeypatch.setattr(engine, "view", lambda stack: view)
    expected = contextlib.nullcontext() if right else pytest.raises(RecipeFailure, match="never")
    with expected:
        upgrade.prove_the_head(Run(tmp_path), app({}))  # type: ignore[arg-type]


def test_incident_u10_a_base_that_is_gone_is_not_the_heads_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U10: the published version's image cannot be had, so the upgrade is unverified and nobody red."""

    def gone(*args: object) -> None:
        raise RecipeFailure("pulling image 'bitnami/discourse:3.1.2' failed: manifest unknown")

    monkeypatch.setattr(deploy, "deploy", gone)
    with pytest.raises(
        BaseNotDeployable, match=r"published version 1\.0\.0\+1 .* manifest"
    ) as caught:
        upgrade.base(Run(tmp_path), app({}))  # type: ignore[arg-type]
    assert caught.value.fault == "infra"
    report = SimpleNamespace(passed=False, skipped=False, when="call", longrepr="")
    assert outcome_of(report, caught.value).kind == "unverified"  # type: ignore[arg-type]


def test_incident_n4_a_suites_values_reach_the_app(tmp_path: Path) -> None:
    """N4: what one recipe needs on a host without ACME stands in its own recipe.yml."""
    run = Run(tmp_path, env={"TLS_FLAVOR": "notls"})
    run.env_path(None).write_text("TYPE=mailu\nDOMAIN=mailu.example.com\nTLS_FLAVOR=cert\n")
    run.checkout_dir.mkdir()
    (run.checkout_dir / "compose.yml").write_text("services: {app: {image: mailu}}\n")
    (run.checkout_dir / ".env.sample").touch()
    provision.prepare(run, app({}))  # type: ignore[arg-type]
    written = EnvFile.read(run.env_path(None))
    assert (written.get("TLS_FLAVOR"), written.get("DOMAIN")) == ("notls", "a.ci.test")
    assert written.get("LETS_ENCRYPT_ENV") == ""


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("INFO running restore.post-hook of s_db: /pg_backup.sh restore\nrestore finished", False),
        ('psql:x.sql:3: ERROR:  role "a" already exists\nrestore finished', False),
        ("pg_restore: oops\nINFO ERROR restore.post-hook of s_db failed\nrestore finished", True),
        ("oops\nERROR post_hook command exited with 1\nrestore finished", True),
    ],
)
def test_incident_b3_a_failed_hook_of_a_restore_is_red_and_heard(said: str, refused: bool) -> None:
    """B3: the bot goes on after a hook that failed; what the hook said is in the message."""
    expected = pytest.raises(RecipeFailure, match="oops") if refused else contextlib.nullcontext()
    with expected:
        restore.refuse_failed_hooks(said)


def test_incident_b2_a_backup_that_nothing_could_judge_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2: where the backup takes no volume whole and the suite checks nothing, any restore would pass."""
    run: Any = Run(tmp_path)
    run.suite = SimpleNamespace(checks=[], wrecks=[])
    monkeypatch.setattr(sentinel, "mounts", lambda deployment: [])
    with pytest.raises(SuiteFailure, match=r"no sentinel can be written.*add a @seed and a @check"):
        restore.restore(run, app({}))
