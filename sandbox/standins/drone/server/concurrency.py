"""The waiting line: which stage the runner may take next."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.standins.drone.server.model import Stage


def may_start(stage: Stage, undone: Sequence[Stage]) -> bool:
    """Say whether the pipeline's `concurrency.limit` lets a stage start.

    What counts are the stages of the same repository and pipeline name that run, or that were
    made earlier. A build that was cancelled counts no more, even while its steps still run.
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
