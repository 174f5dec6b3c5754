"""The order of versions, and the published version from which an upgrade starts."""

import pytest

from harness.recipe.git import Tag
from harness.recipe.versions import key, newest_older

HEAD = "f" * 40


def tag(name: str, *, annotated: bool = True, at_head: bool = False) -> Tag:
    """Return a tag, on a commit of its own or on the head's."""
    return Tag(name, HEAD if at_head else f"{abs(hash(name)):040x}"[:40], annotated)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.9.0+1.0", "1.10.0+1.0"),
        ("1.0.9+1.0", "1.1.0+0.1"),
        ("1.0.0+1.9", "1.0.0+1.10"),
        ("1.0.0+2.2.13", "1.0.0+2.2.14"),
        ("1.0.0+1.22.1", "1.0.0+1.22.1-1"),
        ("1.0.0+1.22.1-1", "1.0.0+1.22.2"),
        ("1.0.0+2.0-rc1", "1.0.0+2.0"),
        ("1.0.0+2.0-rc1", "1.0.0+2.0-rc2"),
        ("1.0.0+2.0-beta3", "1.0.0+2.0-rc1"),
        ("1.0.0+1.29.0", "1.0.0+1.29.0-alpine"),
        ("1.0.0", "1.0.0+1"),
        ("1.0.0+v1.2", "1.0.0+v1.3"),
        ("1.0.0+2024-09-30", "1.0.0+2024-10-01"),
    ],
)
def test_versions_sort_by_the_recipes_number_then_the_softwares(older: str, newer: str) -> None:
    first, second = key(older), key(newer)
    assert first is not None
    assert second is not None
    assert first < second


@pytest.mark.parametrize("text", ["1.0.0+1.2", "v1.0.0+1.2"])
def test_a_leading_v_makes_no_difference(text: str) -> None:
    assert key(text) == key("1.0.0+1.2")


@pytest.mark.parametrize(
    "text",
    ["", "main", "1.0", "1.0.0.0", "1.0.x+1", "release-1.0.0", "1.0.0+", "1.0.0 +1", "-1.0.0"],
)
def test_other_tags_are_not_versions(text: str) -> None:
    assert key(text) is None


@pytest.mark.parametrize(
    "text", ["9" * 5000 + ".0.0", "1.0.0+" + "9" * 5000], ids=["recipe", "software"]
)
def test_a_huge_number_is_not_a_version(text: str) -> None:
    """Python raises ValueError for numbers of more than 4300 digits."""
    assert key(text) is None


@pytest.mark.parametrize(
    ("tags", "version", "base"),
    [
        pytest.param(["1.0.0+1", "1.1.0+1"], "1.2.0+1", "1.1.0+1", id="newest"),
        pytest.param(["1.9.0+1", "1.10.0+1"], "1.11.0+1", "1.10.0+1", id="as-numbers"),
        pytest.param(["1.0.0+1", "1.1.0+1"], "1.1.0+1", "1.1.0+1", id="version-not-raised"),
        pytest.param(["1.0.0+1", "2.0.0+1"], "1.5.0+1", "1.0.0+1", id="never-newer"),
        pytest.param(["1.0.0+1", "2.0.0+1"], None, "2.0.0+1", id="unreadable-head"),
        pytest.param(["1.0.0+1", "2.0.0+1"], "${VERSION}", "2.0.0+1", id="head-is-no-version"),
        pytest.param(["1.0.0+1", "nightly"], "1.5.0+1", "1.0.0+1", id="other-tags"),
        pytest.param(
            ["1.11.0+1.29.0", "1.13.0+1.31.1"], "1.13.1+1.31.1", "1.13.0+1.31.1", id="custom-html"
        ),
    ],
)
def test_an_upgrade_starts_from_the_newest_older_version(
    tags: list[str], version: str | None, base: str
) -> None:
    """The table of incident U6, for a head without a tag."""
    choice = newest_older([tag(name) for name in tags], HEAD, version)
    assert choice.tag == tag(base)
    assert choice.reason == ""


@pytest.mark.parametrize("version", ["1.13.0+1.31.1", None])
def test_a_released_head_is_upgraded_from_the_version_before_it(version: str | None) -> None:
    """With the same base and head, the upgrade would do nothing (incident U6)."""
    tags = [tag("1.13.0+1.31.1", at_head=True), tag("1.11.0+1.29.0")]
    assert newest_older(tags, HEAD, version).tag == tag("1.11.0+1.29.0")


@pytest.mark.parametrize("annotated", [True, False])
def test_the_same_version_does_not_count_for_a_head_with_a_tag(annotated: bool) -> None:
    """A tagged head is a release, so its base must be strictly older."""
    own = tag("v1.1.0+1", annotated=annotated, at_head=True)
    choice = newest_older([own, tag("1.1.0+1"), tag("1.0.0+1")], HEAD, "1.1.0+1")
    assert choice.tag == tag("1.0.0+1")


def test_lightweight_tags_are_ignored() -> None:
    """Only annotated tags are published versions (incident U7)."""
    tags = [tag("1.0.0+1"), tag("1.1.0+1", annotated=False)]
    assert newest_older(tags, HEAD, "1.2.0+1").tag == tag("1.0.0+1")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ([], "the recipe has no published version"),
        ([tag("nightly")], "the recipe has no published version"),
        (
            [tag("1.0.0+1", annotated=False)],
            "no version tag is annotated, so no version counts as published",
        ),
        ([tag("1.0.0+1", at_head=True)], "no published version is older than the head"),
        ([tag("3.0.0+1")], "no published version is older than the head"),
    ],
)
def test_a_missing_base_has_a_reason(tags: list[Tag], reason: str) -> None:
    """The upgrade is then skipped with this reason, never passed."""
    choice = newest_older(tags, HEAD, "2.0.0+1")
    assert choice.tag is None
    assert choice.reason == reason
