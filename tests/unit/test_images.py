"""Images are pulled before a deployment; whose fault it is when that fails."""

from collections.abc import Sequence

import pytest
from docker.errors import ImageNotFound

from harness import images
from harness.errors import CcCiError, InfraError, RecipeFailure
from harness.proc import Done


class Engine:
    """Knows which images are there."""

    def inspect_image(self, name: str) -> dict[str, str]:
        """Return an image, or say that there is none."""
        if name != "here:1":
            raise ImageNotFound("No such image")
        return {"Id": name}


def pull(*names: str, status: int = 0, said: str = "") -> list[list[str]]:
    """Pull with a runner that notes its words and answers as told."""
    calls: list[list[str]] = []

    def run(argv: Sequence[str]) -> Done:
        calls.append(list(argv))
        return Done(tuple(argv), status, "", said, 0.1)

    images.pull(names, report=lambda line: None, api=Engine(), run=run)
    return calls


def test_only_missing_images_are_pulled() -> None:
    """What the engine has is not asked for again: image registries limit pulls."""
    assert pull("here:1", "away:2") == [["docker", "pull", "--quiet", "away:2"]]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Error response from daemon: manifest for x:9 not found: manifest unknown", RecipeFailure),
        ("Error: pull access denied, repository does not exist", RecipeFailure),
        ("toomanyrequests: You have reached your pull rate limit", InfraError),
        ("Get https://r/v2/: dial tcp: lookup r: no such host", InfraError),
        ("net/http: TLS handshake timeout", InfraError),
        ("", InfraError),
    ],
)
def test_incident_r7_a_failed_pull_is_a_class_of_its_own(said: str, kind: type[CcCiError]) -> None:
    """R7: an image that nobody has is the recipe's fault, a registry that does not serve is ours."""
    with pytest.raises(kind, match="pulling image 'away:2' failed before anything was deployed"):
        pull("away:2", status=1, said=said)
