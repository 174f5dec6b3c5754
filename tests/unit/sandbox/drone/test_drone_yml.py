"""The stand-in's pure parts: quoting, substitution, cutting of reads, patterns, pipeline files."""

from __future__ import annotations

import pytest

from harness.settings import SLOTS
from sandbox.host import paths
from sandbox.standins.drone.pipeline.drone_yml import PipelineError, fits, read
from sandbox.standins.drone.pipeline.quote import quote
from sandbox.standins.drone.pipeline.substitute import SubstituteError, substitute
from sandbox.standins.drone.server import live_log
from sandbox.standins.drone.server.live_log import LiveLog, cut
from tests.integration.drone.drone_env import pipeline, step

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(
    ("chunk", "entries"),
    [
        (b"one\n", [b"one\n"]),
        (b"half", [b"half"]),
        (b"\n", [b"\n"]),
        (b"one\ntwo\n", [b"one\n", b"two\n", b""]),
        (b"one\nhal", [b"one\n", b"hal"]),
        (b"\n\n", [b"\n", b"\n", b""]),
    ],
)
def test_reads_are_cut_after_newlines(chunk: bytes, entries: list[bytes]) -> None:
    """A single line is one entry; several have what follows the last newline behind them."""
    assert cut(chunk) == entries


def test_a_log_that_overflows_is_streamed_no_more() -> None:
    """The oldest entries go, and followers hear nothing until the end."""
    live = LiveLog()
    for _ in range(6):
        live.write(b"x" * (1024 * 1024 - 1) + b"\n")
    follower = live.follow(ping=0.01)
    assert next(follower) is None
    kept = live.close()
    assert [line.pos for line in kept] == [1, 2, 3, 4, 5]
    assert list(follower) == []


def test_a_late_follower_gets_the_last_entries() -> None:
    """Of a long log only the last 5,000 entries are replayed."""
    live = LiveLog()
    live.write(b"x\n" * 7000)
    live._publish()
    follower = live.follow(ping=1)
    first = next(follower)
    assert first is not None and first.pos == 7001 - live_log.REPLAYED
    live.close()
    assert len(list(follower)) == live_log.REPLAYED - 1


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a ${X} b", "a x b"),
        ("${X}${Y}.", "x."),
        ("$X $1 $", "$X $1 $"),
        ("$${X}", "${X}"),
        ("$$${X}", "$x"),
        ("kill $$", "kill $"),
        ("${LINES}", '"a\\n\\"b\\""'),
    ],
)
def test_substitution(text: str, result: str) -> None:
    """Names in braces are replaced, two dollars are one; several lines become quoted text."""
    assert substitute(text, {"X": "x", "LINES": 'a\n"b"'}) == result


@pytest.mark.parametrize("text", ["${", "${X", "${}", "${X:-y}", "${#X}", "${a b}", "${a-b}"])
def test_what_is_no_name_is_no_substitution(text: str) -> None:
    """Operators that a real Drone knows are refused as well."""
    with pytest.raises(SubstituteError):
        substitute(text, {"X": "x"})


def test_quoting() -> None:
    """Letters of any language stay; what cannot be printed is written as a number."""
    assert quote('a"b\\\n\t\x01é\u2028') == '"a\\"b\\\\\\n\\t\\x01é\\u2028"'


@pytest.mark.parametrize(
    ("pattern", "value", "holds"),
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
def test_patterns(pattern: str, value: str, holds: bool) -> None:
    """A star does not cross a slash."""
    assert fits(pattern, value) is holds


ONE = pipeline("a", step("x", "true"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ONE.replace("exec", "docker"), "models kind 'pipeline', type 'exec', not"),
        (ONE.replace("kind: pipeline", "kind: secret"), "not 'secret'"),
        (pipeline("a", extra="platform: {os: windows}\n"), "platform os 'windows' has no runner"),
        (pipeline("a", extra="concurrency: {limit: many}\n"), "it must be a whole number"),
        (pipeline("a", extra="concurrency: {group: b}\n"), "does not model the key 'group'"),
        (ONE + step("x", "true"), "duplicate step name"),
        (ONE + step("clone", "true"), "invalid or missing step name 'clone'"),
        (ONE + "- commands: [ls]\n", "invalid or missing step name ''"),
        (ONE + "- name: b\n  commands: [a: b]\n", "a command must be a text"),
        (ONE + "- name: b\n  detach: true\n", "does not model the key 'detach'"),
        (ONE + "- name: b\n  depends_on: [x]\n", "does not model the key 'depends_on'"),
        (ONE + "- name: b\n  image: alpine\n", "cannot define images"),
        (ONE + "- name: b\n  failure: fast\n", "only 'ignore' is modelled"),
        (ONE + "- name: b\n  when: {cron: x}\n", "does not model the key 'cron'"),
        (ONE + "- name: b\n  when: {status: [killed]}\n", "status 'killed' is not modelled"),
        (ONE + "- name: b\n  environment: {A: {from_secret: b}}\n", "only plain values"),
        (ONE.replace("event: ", "status: "), "does not model the key 'status'"),
        ("- a\n", "a pipeline must be a mapping"),
        ("text", "a pipeline must be a mapping"),
    ],
)
def test_what_a_pipeline_may_not_say(text: str, sentence: str) -> None:
    """What the stand-in does not model is named."""
    with pytest.raises(PipelineError) as caught:
        read(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_conditions_may_include_and_exclude() -> None:
    """An excluded value does not match, whatever is included."""
    trigger = read(ONE.replace("[custom]", "{include: [c*], exclude: [cron]}"))[0].trigger
    assert [trigger.holds(event, "main") for event in ("custom", "cron", "push")] == [
        True,
        False,
        False,
    ]


def test_the_checkout_s_own_pipelines() -> None:
    """One tests a push, one a recipe; as many runs at once as the runner takes and the harness has slots."""
    tests, recipe = read((paths.CHECKOUT / ".drone.yml").read_text())
    assert [tests.name, recipe.name] == ["self-test", "recipe-ci"]
    assert tests.trigger.holds("push", "main") and not tests.trigger.holds("custom", "main")
    assert recipe.trigger.holds("custom", "main") and not recipe.trigger.holds("push", "main")
    assert recipe.limit == SLOTS == paths.CAPACITY
