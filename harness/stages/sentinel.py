"""The sentinel: a file in every volume, for recipes whose suite has no checks of its own.

If the recipe can be backed up, only volumes that the backup takes whole are used: from a volume of which it
takes one path (a dump), the sentinel would not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import RecipeFailure
from harness.runs.deployment import Deployment
from harness.suites.app import App
from harness.swarm import containers

FILE = ".cc-ci-sentinel"


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """Where a volume is mounted: the service's short name and the path in its container."""

    service: str
    volume: str
    path: str


def mounts(deployment: Deployment) -> list[VolumeMount]:
    """Return the volumes that get a sentinel: those the backup takes whole, or all if there is no backup."""
    compose = deployment.compose
    if compose.is_backup_capable:
        return [
            VolumeMount(c.service, c.volume, c.mount_path)
            for c in compose.covered
            if c.paths is None
        ]
    return [
        VolumeMount(service.name, mount.volume, mount.path)
        for service in compose.services
        for mount in service.mounts
        if mount.volume
    ]


def plant(deployment: Deployment) -> None:
    """Write the sentinel into each volume."""
    app = deployment.app
    for mount in mounts(deployment):
        containers.write(app.stack, mount.service, _file(mount), _text(app, mount))


def lost(deployment: Deployment) -> list[str]:
    """Return a sentence for each volume whose sentinel is gone or changed."""
    app = deployment.app
    problems = []
    for mount in mounts(deployment):
        data = containers.read(app.stack, mount.service, _file(mount))
        if data is None:
            problems.append(f"the file that was written into volume '{mount.volume}' is gone")
        elif data != _text(app, mount):
            problems.append(f"the file that was written into volume '{mount.volume}' has changed")
    return problems


def verify(deployment: Deployment) -> None:
    """Require the sentinel in each volume, byte for byte.

    Raises:
        RecipeFailure: names the volumes that lost it.
    """
    problems = lost(deployment)
    if problems:
        raise RecipeFailure("; ".join(problems))


def _file(mount: VolumeMount) -> str:
    return str(PurePosixPath(mount.path) / FILE)


def _text(app: App, mount: VolumeMount) -> bytes:
    """Return the content: different for each app and volume, so that a mix-up is noticed."""
    return f"sentinel of {app.domain} in {mount.volume}\n".encode()
