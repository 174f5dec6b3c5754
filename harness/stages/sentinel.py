"""The generic witness: a file in every volume, for recipes whose suite has no checks of its own.

Where the recipe can be backed up, only volumes that the backup takes whole are used: a volume of
which it takes one path (a dump) would not bring the witness back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import RecipeFailure
from harness.suites.app import App
from harness.swarm import containers

FILE = ".cc-ci-witness"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume is mounted: the service's short name and the path in its container."""

    service: str
    volume: str
    path: str


def plant(app: App, places: Sequence[Place]) -> None:
    """Put a witness into each volume."""
    for place in places:
        containers.write(app.stack, place.service, _file(place), _text(app, place))


def lost(app: App, places: Sequence[Place]) -> list[str]:
    """Return a sentence for each witness that is gone or changed."""
    problems = []
    for place in places:
        data = containers.read(app.stack, place.service, _file(place))
        if data is None:
            problems.append(f"what was put into volume '{place.volume}' is gone")
        elif data != _text(app, place):
            problems.append(f"what was put into volume '{place.volume}' has changed")
    return problems


def verify(app: App, places: Sequence[Place]) -> None:
    """Require every witness to be there, byte for byte.

    Raises:
        RecipeFailure: names the volumes that lost it.
    """
    problems = lost(app, places)
    if problems:
        raise RecipeFailure("; ".join(problems))


def _file(place: Place) -> str:
    return str(PurePosixPath(place.path) / FILE)


def _text(app: App, place: Place) -> bytes:
    return f"witness of {app.domain} in {place.volume}\n".encode()
