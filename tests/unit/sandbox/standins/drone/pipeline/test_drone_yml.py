"""Parsing `.drone.yml`: patterns, conditions, and what is refused."""

from __future__ import annotations

import pytest

from harness.settings import SLOTS
from sandbox.host import paths
from sandbox.standins.drone.pipeline.drone_yml import PipelineError, glob_matches, parse
from tests.integration.drone.drone_env import pipeline, step

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("main", "main", True),
        ("main", "mains", False),
        ("f*", "feat", True),
        ("f*", "feat/x", False),
        ("f*/?", "feat/x", True),
        ("[mn]ain", "nain", True),
        ("a.c", "abc", False),
    ],
)
def test_a_star_does_not_match_a_slash(pattern: str, value: str, matches: bool) -> None:
    assert glob_matches(pattern, value) is matches


ONE = pipeline("a", step("x", "true"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE.replace("exec", "docker"), "only supports kind 'pipeline', type 'exec', not"),
        (ONE.replace("kind: pipeline", "kind: secret"), "not 'secret'"),
        (pipeline("a", extra="platform: {os: windows}\n"), "platform os 'windows' has no runner"),
        (pipeline("a", extra="concurrency: {limit: many}\n"), "it must be a whole number"),
        (pipeline("a", extra="concurrency: {group: b}\n"), "does not support the key 'group'"),
        (ONE + step("x", "true"), "duplicate step name"),
        (ONE + step("clone", "true"), "invalid or missing step name 'clone'"),
        (ONE + "- commands: [ls]\n", "invalid or missing step name ''"),
        (ONE + "- name: b\n  commands: [a: b]\n", "a command must be text"),
        (ONE + "- name: b\n  detach: true\n", "does not support the key 'detach'"),
        (ONE + "- name: b\n  depends_on: [x]\n", "does not support the key 'depends_on'"),
        (ONE + "- name: b\n  image: alpine\n", "cannot define images"),
        (ONE + "- name: b\n  failure: fast\n", "only supports 'ignore'"),
        (ONE + "- name: b\n  when: {cron: x}\n", "does not support the key 'cron'"),
        (ONE + "- name: b\n  when: {status: [killed]}\n", "does not support when.status 'killed'"),
        (ONE + "- name: b\n  environment: {A: {from_secret: b}}\n", "only supports plain values"),
        (ONE.replace("event: ", "status: "), "does not support the key 'status'"),
        ("- a\n", "a pipeline must be a mapping"),
        ("text", "a pipeline must be a mapping"),
    ],
)
def test_the_message_names_what_is_not_supported(text: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_excluded_value_never_matches() -> None:
    trigger = parse(ONE.replace("[custom]", "{include: [c*], exclude: [cron]}"))[0].trigger
    assert [trigger.matches(event, "main") for event in ("custom", "cron", "push")] == [
        True,
        False,
        False,
    ]


def test_our_own_drone_yml_has_two_pipelines() -> None:
    """The limit of recipe-ci has to be the number of slots and the capacity of the runner."""
    tests, recipe = parse((paths.CHECKOUT / ".drone.yml").read_text())
    assert [tests.name, recipe.name] == ["self-test", "recipe-ci"]
    assert tests.trigger.matches("push", "main") and not tests.trigger.matches("custom", "main")
    assert recipe.trigger.matches("custom", "main") and not recipe.trigger.matches("push", "main")
    assert recipe.limit == SLOTS == paths.CAPACITY
