"""Real servers: the sandbox's Gitea and Drone, with the users and the repository that the tests need."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sandbox.ci.real_drone import RealDrone, is_configured
from sandbox.forge.gitea import ADMIN, Gitea
from tests.integration.drone.drone_env import SLUG, DroneEnv
from tests.support.ports import free_port

__all__ = ["RealDroneEnv", "is_configured"]


class RealDroneEnv(DroneEnv):
    """A real Gitea, Drone server and runner as child processes."""

    real = True

    def __init__(self, folder: Path, *, capacity: int = 8) -> None:
        super().__init__(folder)
        # Gitea does not run as root, and only root may read pytest's own folders.
        self._open_folder = Path(tempfile.mkdtemp(prefix="ccci-drone-"))
        self._open_folder.chmod(0o755)
        self.forge = Gitea(self._open_folder / "gitea", free_port(), tied=True)
        environ = {"FROM_RUNNER": "yes"}
        self.drone = RealDrone(folder / "drone", free_port(), self.forge, environ, capacity)
        self.url = self.drone.url

    def set_up(self) -> None:
        """Create the users and the repository, start the servers and log in; called once."""
        self.forge.start()
        self.forge.create_organisation("ci", {})
        self.forge.create_repository("ci", "cc-ci")
        password = self.forge.passwords()[ADMIN]
        self.remote = self.forge.url.replace("//", f"//{ADMIN}:{password}@") + f"/{SLUG}.git"
        self.push("main", None)
        self.drone.start()
        self.tokens = {
            "bridge": self.drone.token.read_text().strip(),
            "plainbot": self.drone.create_machine_user("plainbot", admin=False),
        }
        self.hook = self.forge.call("GET", f"/repos/{SLUG}/hooks")[0]["config"]["url"]

    def start(self) -> None:
        """Start server and runner."""
        self.drone.start()

    def stop(self) -> None:
        """Stop all processes; the runner is killed because it would wait for running steps."""
        self.drone.worker.kill()
        self.drone.stop()
        self.forge.stop()
        shutil.rmtree(self._open_folder, ignore_errors=True)

    def restart(self) -> None:
        """Restart the Drone server."""
        self.drone.daemon.stop()
        self.drone.start_server()

    def crash_runner(self) -> None:
        """Kill the runner and start another."""
        self.drone.worker.kill()
        self.drone.start_runner()

    def runner_root(self) -> Path:
        """Return the folder with the runner's workspaces."""
        return self.drone.runner_root
