"""The registry: which owners are alive, and which names can be registered."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.runs import registry
from harness.settings import Settings
from tests.support.fake_docker import FakeDocker
from tests.support.lock_holder import Holder
from tests.unit.harness.runs.sweeps import DOMAIN, STACK, rewrite, sweep


def test_a_reused_process_id_is_not_the_owner(here: Settings, live: Holder) -> None:
    live.kill()
    rewrite(here.active_dir / DOMAIN, pid=os.getpid(), started="1")
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_an_entry_without_a_start_time_has_a_dead_owner(here: Settings, live: Holder) -> None:
    """A process that is gone has no start time either; two empty ones are not a match."""
    live.kill()
    rewrite(here.active_dir / DOMAIN, started="")
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_an_owner_with_a_held_lock_is_alive(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner may be in another PID namespace, so its process cannot be found."""
    monkeypatch.setattr(registry, "DEAD_LOCK_TIMEOUT", 0.05)
    folder = here.runs_dir / "run-7"
    for path in (here.active_dir / DOMAIN, folder / registry.RUN_ENTRY):
        rewrite(path, pid=2**22, started="1")
    for entry in (*registry.entries(here), *registry.runs(here)):
        assert registry.claim(here, entry) is None
    assert not registry.is_free(folder)


def test_an_owner_whose_process_runs_is_alive_without_its_lock_file(
    here: Settings, live: Holder, tmp_path: Path
) -> None:
    """Lock files may be deleted; a lock on a new file with that name proves nothing."""
    for path in (*here.active_dir.glob(".*.lock"), *tmp_path.glob("runs/run-7/**/.*.lock")):
        path.unlink()
    (entry,) = registry.entries(here)
    assert registry.claim(here, entry) is None
    assert not registry.is_free(tmp_path / "runs" / "run-7")
    assert sweep(here, FakeDocker()).removed == []


def test_a_name_cannot_be_registered_while_its_last_app_is_removed(
    here: Settings, live: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The janitor would remove what the new owner creates."""
    monkeypatch.setattr(registry, "NAME_TIMEOUT", 0.05)
    words = {"stack": STACK, "run": "x", "recipe": "hello", "life": "fresh"}

    class BusyDocker(FakeDocker):
        def remove_service(self, name: str) -> None:
            """Remove a service, while a new run wants to register the name."""
            with pytest.raises(InfraError, match="held by another run"):
                registry.register(here, domain=DOMAIN, run_dir=tmp_path / "x", **words)
            super().remove_service(name)

    api = BusyDocker()
    api.deploy(STACK)
    live.kill()
    assert sweep(here, api).removed == [DOMAIN]
    registry.register(here, domain=DOMAIN, run_dir=tmp_path / "x", **words).close()


def test_a_directory_of_a_running_run_is_refused(here: Settings, live: Holder) -> None:
    """Two runs with one id would write into one directory."""
    with pytest.raises(InfraError, match="run 'run-7' is still running in"):
        registry.begin(here.runs_dir / "run-7", run="run-7", recipe="hello")


def test_an_owner_from_an_earlier_boot_is_dead(here: Settings, live: Holder) -> None:
    """Its process id may belong to another process now."""
    live.kill()
    start = registry.start_time(os.getpid())
    rewrite(here.active_dir / DOMAIN, pid=os.getpid(), started=start, boot="other")
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_a_failed_registration_frees_the_name_again(here: Settings, tmp_path: Path) -> None:
    """A disk that cannot take the entry is an infrastructure problem."""
    run = tmp_path / "runs" / "run-8"
    run.mkdir()
    (run / registry.APPS).write_text("in the way")
    app = {"domain": DOMAIN, "stack": STACK, "run": "run-8", "recipe": "hello", "life": "fresh"}
    for _ in range(2):
        with pytest.raises(InfraError, match=f"cannot register '{DOMAIN}'"):
            registry.register(here, run_dir=run, **app)
    (run / registry.APPS).unlink()
    registry.register(here, run_dir=run, **app).close()


def test_a_domain_cannot_be_registered_twice(here: Settings, live: Holder, tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="held by another run"):
        registry.register(
            here,
            domain=DOMAIN,
            stack=STACK,
            run="x",
            run_dir=tmp_path,
            recipe="hello",
            life="fresh",
        )


def test_a_zombie_owner_is_dead(here: Settings, live: Holder) -> None:
    """Its process id exists until its parent has waited for it."""
    live.process.kill()  # and not waited for
    os.waitid(os.P_PID, live.process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{live.process.pid}/stat").exists()
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_a_name_whose_last_app_is_not_removed_yet_is_refused(
    here: Settings, live: Holder, tmp_path: Path
) -> None:
    live.kill()
    with pytest.raises(InfraError, match="left behind by run 'run-7'; `cc-ci janitor`"):
        registry.register(
            here,
            domain=DOMAIN,
            stack=STACK,
            run="x",
            run_dir=tmp_path / "runs" / "x",
            recipe="hello",
            life="fresh",
        )


def test_a_run_with_the_same_id_elsewhere_is_another_run(here: Settings, live: Holder) -> None:
    """Two Drone servers on one host both have a build 7; processes are matched by the run's directory."""
    other = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "CCCI_RUN": "/elsewhere/run-7"})
    live.kill()
    try:
        assert sweep(here, FakeDocker()).removed == [DOMAIN]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
