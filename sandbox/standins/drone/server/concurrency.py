"""The `concurrency.limit` of a pipeline: whether a stage may start."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.standins.drone.server.model import Stage


def may_start(stage: Stage, undone: Sequence[Stage]) -> bool:
    """Return True if the limit of its pipeline lets a stage start.

    The limit counts the stages of the same repository and pipeline name that run or were created earlier. A
    cancelled build no longer counts, even while its steps still run.

    Args:
        stage: the stage.
        undone: all stages that have not finished.
    """
    if not stage.limit:
        return True
    ahead = [
        other
        for other in undone
        if (other.repo_id, other.name) == (stage.repo_id, stage.name)
        and other.id != stage.id
        and (other.id < stage.id or other.status == "running")
    ]
    return len(ahead) < stage.limit
