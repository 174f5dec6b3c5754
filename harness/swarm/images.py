"""Pull images before a deployment, so that pulling does not use up its time (incident R7).

An image that its image registry does not have is the recipe's fault. An image registry that does not answer,
or limits our rate, is an infrastructure problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from docker.errors import APIError, NotFound

from harness.errors import InfraError, RecipeFailure
from harness.host import proc
from harness.host.proc import Completed
from harness.swarm import engine

PULL_TIMEOUT = 1800.0  # seconds for one image
ABSENT = re.compile(
    "manifest unknown|repository does not exist|name unknown|invalid reference|no matching manifest",
    re.IGNORECASE,
)

Runner = Callable[[Sequence[str]], Completed]


def missing(images: Iterable[str], api: Any = None) -> list[str]:
    """Return the images that the engine does not have."""
    api = api or engine.client()
    return [image for image in images if not _is_here(api, image)]


def _is_here(api: Any, image: str) -> bool:
    try:
        api.inspect_image(image)
    except NotFound:
        return False
    except APIError as error:
        raise InfraError(
            f"asking Docker for image '{image}' failed: {error.explanation}"
        ) from error
    return True


def pull(
    images: Iterable[str],
    *,
    progress: Callable[[str], None],
    api: Any = None,
    run: Runner | None = None,
) -> None:
    """Pull the images that the engine does not have, one after the other.

    Args:
        images: names with tags.
        progress: receives a line for each image, and every 10 s.
        api: the engine; the real one if None.
        run: runs a command; for tests.

    Raises:
        RecipeFailure: the image registry has no such image.
        InfraError: the image registry does not answer, or limits our rate.
    """
    for image in missing(images, api):
        progress(f"pulling image {image}")
        done = (run or _docker(progress))(["docker", "pull", "--quiet", image])
        if done.exit_code != 0:
            raise _failure(image, done.text)


def _docker(progress: Callable[[str], None]) -> Runner:
    return lambda argv: proc.run(argv, timeout=PULL_TIMEOUT, check=False, progress=progress)


def _failure(image: str, output: str) -> Exception:
    last = (output.strip().splitlines() or ["no reason given"])[-1]
    text = f"pulling image '{image}' failed before anything was deployed: {last}"
    return RecipeFailure(text) if is_absent(output.replace(image, "")) else InfraError(text)


def is_absent(output: str) -> bool:
    """Return True if an image registry answered that it has no such image.

    Only these words prove it. Any other failure (a bare 404 of a proxy in between, a rate limit, a name that
    does not resolve) says nothing about the image.

    Args:
        output: what `docker pull` printed, without the image's name, which may contain any word.
    """
    return ABSENT.search(output) is not None
