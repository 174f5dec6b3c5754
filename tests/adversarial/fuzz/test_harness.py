"""Random input for the harness's parsers: settings, samples, compose files, abra's output, events."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from bridge.builds import drone_log
from bridge.model import Progress
from contract.marker import MARKER, quote_markers
from harness.errors import RecipeFailure, SettingError
from harness.host.proc import Completed
from harness.recipe import env_sample, flaws, hazards, post_deploy, versions
from harness.recipe.compose import Compose
from harness.recipe.env_file import EnvFile, missing_lines, secret_specs
from harness.reporting import events
from harness.reporting.events import Event
from harness.suites import suite_settings
from harness.swarm.abra import Abra, AbraFailed, Lint, parse_lint
from sandbox.standins.abra.files import env_file as standin
from tests.adversarial.fuzz.inputs import PIECES, SHELL, TEXTS, VALUES, fuzz

STACK = "a1-shop_ci_test"


@pytest.fixture(scope="module")
def folder() -> Any:
    """One folder for all inputs of this module."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def yamls(keys: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Return YAML documents with such keys and values, and texts that are not YAML."""
    written = st.dictionaries(keys, values, max_size=6).map(lambda tree: yaml.safe_dump(tree))
    return written | st.lists(
        SHELL | TEXTS | st.sampled_from(["a: &a [*a]\n", "<<: ", "- ", ": ", "!!python/x "]),
        max_size=6,
    ).map("".join)


# -- recipe.yml


SETTINGS = st.sampled_from(
    ["health", "timeouts", "env", "compose_overlays", "not_applicable", "probes", "allow", "alow"]
)
SETTING = st.dictionaries(
    st.sampled_from(["path", "statuses", "deploy", "tcp", "A", "1"]), VALUES, max_size=3
)


@fuzz(text=yamls(SETTINGS, VALUES | SETTING | st.lists(st.sampled_from(["bind", "bund"]))))
def test_settings_are_read_or_refused_with_the_file_name(folder: Path, text: str) -> None:
    path = folder / "recipe.yml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    message = ""
    try:
        assert set(suite_settings.load(path).allow) <= set(hazards.HAZARDS)
    except SettingError as error:
        message = str(error)
    assert not message or str(path) in message


# -- .env.sample


SAMPLES = st.lists(
    st.builds("{}{}={}{}".format, st.sampled_from(["", "#", " ", "export "]),
              st.sampled_from(["A", "B", "SECRET_X_VERSION", "TYPE", "STACK_NAME", "a.b"]),
              st.lists(SHELL | TEXTS | st.sampled_from(["v1", " # length=9", "'x'", '"y"']),
                       max_size=4).map("".join),
              st.sampled_from(["\n", "\n", "\r\n", "\r", "\x0b", "\u2028", ""]))
    | TEXTS,
    max_size=6,
).map("".join)  # fmt: skip


@fuzz(text=SAMPLES)
def test_an_allowed_sample_has_the_same_values_in_two_parsers(text: str) -> None:
    """The harness's parser, and that of the stand-in for abra."""
    if env_sample.problem(text, "shop"):
        return
    ours = EnvFile.parse(text).values()
    theirs = standin.parse(text).values
    assert ours.keys() == theirs.keys()
    assert all(theirs[key] == value for key, value in ours.items() if "$" not in text)


@fuzz(old=SAMPLES, new=SAMPLES, value=st.from_regex(r"[a-z0-9./-]{0,20}", fullmatch=True))
def test_an_env_file_takes_any_lines_and_returns_what_was_set(
    old: str, new: str, value: str
) -> None:
    env = EnvFile.parse(old)
    for line in missing_lines(old, new):
        env.append(line)
    env.set("A", value)
    assert env.get("A") == value
    assert all(spec.name for spec in secret_specs(env))


@fuzz(
    text=st.lists(SHELL | TEXTS | st.sampled_from(["app ", "--local ", "f ", "|"]), max_size=6).map(
        "".join
    )
)
def test_post_deploy_commands_start_with_names(text: str) -> None:
    """Neither of their first two words can be a flag of abra."""
    try:
        found = post_deploy.post_deploy_commands(text)
    except RecipeFailure:
        return
    assert not [c for c in found if c.service.startswith("-") or c.function.startswith("-")]


@fuzz(
    text=TEXTS | st.from_regex(r"v?[0-9]{1,12}\.[0-9]{1,3}\.[0-9]{1,3}(\+.{0,9})?", fullmatch=True)
)
def test_versions_can_be_compared(text: str) -> None:
    key, other = versions.key(text), versions.key("1.2.3+4.5-rc1")
    assert key is None or other is None or (key < other) + (key > other) + (key == other) == 1


# -- compose files


SOURCES = st.sampled_from(
    ["data", "/", "/srv", "//etc", "./x", "~", "..", "${A}", "$B/", "/var/run/docker.sock", ""]
)
SERVICES = st.dictionaries(
    st.sampled_from(["app", "db"]),
    st.dictionaries(
        st.sampled_from(["image", "volumes", "ports", "deploy", "networks", "privileged", "secrets",
                         "env_file", "pid", "healthcheck", "depends_on", "cap_add", "sysctls", "build"]),
        VALUES | st.lists(SOURCES.map(lambda s: f"{s}:/x"), max_size=2)
        | st.fixed_dictionaries({"labels": VALUES | st.lists(TEXTS), "replicas": VALUES}),
        max_size=5,
    ) | VALUES,
    max_size=2,
)  # fmt: skip
SECTIONS = st.sampled_from(
    ["services", "volumes", "secrets", "configs", "networks", "include", "version"]
)


@fuzz(text=yamls(SECTIONS, SERVICES | VALUES), service=SERVICES)
def test_compose_files_are_checked_or_refused(folder: Path, text: str, service: Any) -> None:
    """Only RecipeFailure may be raised."""
    for body in (text, yaml.safe_dump({"services": service})):
        (folder / "compose.yml").write_bytes(body.encode("utf-8", "surrogatepass"))
        try:
            found = Compose.load(folder, {"STACK_NAME": STACK, "A": "/"})
        except RecipeFailure:
            continue
        listed = hazards.find(found, folder, STACK)
        assert {hazard.kind for hazard in listed} <= set(hazards.HAZARDS)
        assert bool(hazards.refusal(listed, ())) is bool(listed)
        sentences = [*flaws.durations(found), *flaws.names(found, STACK), *flaws.warnings(found)]
        assert all(isinstance(text, str) for text in [*sentences, *flaws.placements(found, [])])
        assert found.backed_up_services is not None and found.images is not None


@fuzz(
    source=SOURCES | TEXTS,
    path=st.sampled_from(["/x", "/etc/timezone"]),
    rest=st.sampled_from(["", ":ro", ":rw,z"]),
)
def test_every_mount_of_a_host_path_is_a_hazard(
    folder: Path, source: str, path: str, rest: str
) -> None:
    """Every text that Docker could read as a host path."""
    tree = {"services": {"app": {"image": "a", "volumes": [f"{source}:{path}{rest}"]}}}
    (folder / "compose.yml").write_bytes(yaml.safe_dump(tree).encode("utf-8", "surrogatepass"))
    try:
        found = Compose.load(folder, {"STACK_NAME": STACK})
    except RecipeFailure:
        return
    first = source.partition(":")[0]
    if first.startswith(("/", ".", "~")):
        assert hazards.find(found, folder, STACK)


# -- abra's output


OUTPUT = st.lists(
    VALUES.map(json.dumps) | PIECES
    | st.lists(st.dictionaries(st.sampled_from(["name", "value", "CREATED ON SERVER", "apps"]), VALUES,
                               max_size=3), max_size=3).map(json.dumps)
    | st.sampled_from(["INFO ok\n", "FATA no\n", "[" * 3000, '{"a":', "[9" + "9" * 5000 + "]"]),
    max_size=5,
).map("".join)  # fmt: skip


class FakeAbra(Abra):
    """An abra whose commands print `out`."""

    out = ""

    def _run(self, words: Any, **more: Any) -> Completed:
        return Completed(("abra", *words), 0, self.out, "", 0.0)


@fuzz(out=OUTPUT)
def test_output_of_abra_is_parsed_or_raises_abra_failed(out: str) -> None:
    """Log lines and spellings may vary, the shape may not."""
    abra = FakeAbra("abra", Path("/nowhere"))
    abra.out = out
    for ask in (
        lambda: abra.app_secret_ls("d"),
        lambda: abra.app_secret_generate("d"),
    ):
        try:
            found = ask()
        except AbraFailed:
            continue
        assert isinstance(found, list | dict)


CELLS = st.sampled_from(["R001", "R1", "error", "warn", "✅", "❌", "-", "", "x"]) | TEXTS
TABLES = st.lists(st.lists(CELLS, max_size=8).map(" ┃ ".join) | TEXTS, max_size=8).map("\n".join)


@fuzz(text=TABLES)
def test_any_lint_table_is_parsed(text: str) -> None:
    """A rule is broken only if its row says so."""
    found = parse_lint(text)
    assert isinstance(found, Lint)
    assert not (found.failed or found.warned) or "❌" in text


# -- events


@fuzz(lines=st.lists(VALUES.map(json.dumps) | TEXTS, max_size=6))
def test_broken_lines_of_an_event_file_are_counted(folder: Path, lines: list[str]) -> None:
    path = folder / "events.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    found = events.read(path)
    assert len(found.events) + found.unreadable <= len(lines) * 200
    assert all(isinstance(event, Event) for event in found.events)


@fuzz(text=PIECES)
def test_no_text_can_forge_a_marked_line(text: str) -> None:
    """The bridge ignores everything that an app prints."""
    safe = quote_markers(text)
    assert not [line for line in safe.splitlines() if line.startswith(MARKER.strip())]
    read = drone_log.read(f"  1.0 s  shop  fresh: {safe}")
    assert (read.report, read.progress) == (None, Progress())


@fuzz(text=PIECES, name=st.sampled_from(sorted(events.PUBLIC_EVENTS)))
def test_a_marked_line_is_one_line_of_plain_ascii(text: str, name: str) -> None:
    """Untrusted text in it cannot end it."""
    line = events.marked(Event(1.0, name, {"message": text, "stage": text, "outcome": text}))
    assert line is not None and line.isascii() and line.isprintable()
    assert line.startswith(MARKER)
    assert json.loads(line.removeprefix(MARKER))["event"] == name
