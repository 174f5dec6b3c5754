"""Pulling images before a deployment, and whose fault a failure is."""

from collections.abc import Sequence

import pytest
from docker.errors import ImageNotFound

from harness.errors import CcCiError, InfraError, RecipeFailure
from harness.host.proc import Completed
from harness.swarm import images


class Engine:
    """A fake engine that has one image."""

    def inspect_image(self, name: str) -> dict[str, str]:
        """Return an image."""
        if name != "here:1":
            raise ImageNotFound("No such image")
        return {"Id": name}


def pull(*names: str, exit_code: int = 0, output: str = "") -> list[list[str]]:
    """Pull with a fake runner; return the commands that it was given."""
    calls: list[list[str]] = []

    def run(argv: Sequence[str]) -> Completed:
        calls.append(list(argv))
        return Completed(tuple(argv), exit_code, "", output, 0.1)

    images.pull(names, progress=lambda line: None, api=Engine(), run=run)
    return calls


def test_only_missing_images_are_pulled() -> None:
    """Image registries limit pulls."""
    assert pull("here:1", "away:2") == [["docker", "pull", "--quiet", "away:2"]]


DAEMON = "Error response from daemon: "  # recorded from dockerd 20.10 and Docker Hub


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (DAEMON + "manifest unknown", RecipeFailure),
        (DAEMON + "name unknown", RecipeFailure),
        (DAEMON + "manifest for away:2 not found: manifest unknown", RecipeFailure),
        (
            DAEMON + "pull access denied for away, repository does not exist or may req",
            RecipeFailure,
        ),
        (DAEMON + "no matching manifest for linux/arm64/v8 in the manifest list", RecipeFailure),
        (DAEMON + "toomanyrequests: You have reached your pull rate limit", InfraError),
        (DAEMON + "received unexpected HTTP status: 503 Service Unavailable", InfraError),
        (DAEMON + 'error parsing HTTP 404 response body: invalid: "404 Not Found"', InfraError),
        (
            DAEMON + 'Get "https://r/v2/": dial tcp: lookup r on 9.9.9.9:53: no such host',
            InfraError,
        ),
        (
            DAEMON + 'Get "http://r/v2/": dial tcp 127.0.0.1:5: connect: connection refused',
            InfraError,
        ),
        (DAEMON + 'Get "http://r/v2/": net/http: request canceled (Client.Timeout ex', InfraError),
        (DAEMON + "failed to register layer: write /usr/x: no space left on device", InfraError),
        ("Get https://r/v2/: net/http: TLS handshake timeout", InfraError),
        ("", InfraError),
    ],
)
def test_incident_r7_whose_fault_a_failed_pull_is(output: str, kind: type[CcCiError]) -> None:
    """R7: a missing image is the recipe's fault, an image registry that fails is not."""
    with pytest.raises(kind, match="pulling image 'away:2' failed before anything was deployed"):
        pull("away:2", exit_code=1, output=output)


@pytest.mark.parametrize(
    ("image", "output", "kind"),
    [
        (
            "r/connection:1",
            "manifest for r/connection:1 not found: manifest unknown",
            RecipeFailure,
        ),
        ("r/name-unknown:1", "toomanyrequests: pull of r/name-unknown:1 refused", InfraError),
        ("r/name unknown", "toomanyrequests: pull of r/name unknown refused", InfraError),
    ],
)
def test_the_name_of_an_image_is_not_matched(
    image: str, output: str, kind: type[CcCiError]
) -> None:
    """It may contain any word; only the image registry's answer counts."""
    with pytest.raises(kind):
        pull(image, exit_code=1, output=output)
