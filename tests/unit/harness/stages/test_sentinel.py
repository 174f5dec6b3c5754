"""The generic witness: it is missed when it is gone, and when it is another one."""

from __future__ import annotations

import pytest

from harness import settings
from harness.errors import RecipeFailure
from harness.stages import sentinel
from harness.stages.sentinel import Place
from harness.suites.app import App
from harness.swarm import containers

PLACES = (Place("app", "content", "/data"), Place("db", "rows", "/var/lib/db"))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], bytes]:
    """The files of an app in memory, by service and path."""
    made: dict[tuple[str, str], bytes] = {}

    def write(stack: str, service: str, path: str, data: bytes) -> None:
        made[service, path] = data

    monkeypatch.setattr(containers, "write", write)
    monkeypatch.setattr(containers, "read", lambda stack, service, path: made.get((service, path)))
    return made


def the_app(name: str = "a") -> App:
    """Return an app that runs."""
    return App(f"{name}.ci.test", f"{name}_ci_test", "x", "fresh", settings.load({}))


def test_a_witness_in_every_volume_is_found_again(files: dict[tuple[str, str], bytes]) -> None:
    """Each has words of its own, so that one volume's content in another's place is noticed."""
    sentinel.plant(the_app(), PLACES)
    sentinel.verify(the_app(), PLACES)
    assert set(files) == {("app", "/data/.cc-ci-witness"), ("db", "/var/lib/db/.cc-ci-witness")}
    assert len(set(files.values())) == 2


@pytest.mark.parametrize("place", PLACES)
def test_a_witness_that_is_gone_or_changed_is_missed(
    files: dict[tuple[str, str], bytes], place: Place
) -> None:
    """The volume is named; a file that was truncated is as bad as none."""
    key = (place.service, f"{place.path}/.cc-ci-witness")
    sentinel.plant(the_app(), PLACES)
    files[key] = files[key][:-2]
    with pytest.raises(RecipeFailure, match=f"into volume '{place.volume}' has changed$"):
        sentinel.verify(the_app(), PLACES)
    del files[key]
    with pytest.raises(RecipeFailure, match=f"into volume '{place.volume}' is gone$"):
        sentinel.verify(the_app(), PLACES)


def test_another_apps_witness_is_none(files: dict[tuple[str, str], bytes]) -> None:
    """What a snapshot of another app brought is not what was there."""
    sentinel.plant(the_app("other"), PLACES)
    assert len(sentinel.lost(the_app(), PLACES)) == 2
