"""Compose files read as data: merged, interpolated, judged, and never trusted."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from harness.errors import RecipeFailure
from harness.recipe import flaws, hazards
from harness.recipe.abra_sh import exports
from harness.recipe.compose import Compose, CoveredVolume, Mount
from harness.recipe.env_file import EnvFile

SOURCES = Path(__file__).parents[4] / "sandbox" / "recipes"
ENV = {"STACK_NAME": "c4f1a9-x_ci_test", "DOMAIN": "c4f1a9-x.ci.test"}


def load(folder: Path, main: str, env: Mapping[str, str] = ENV, **others: str) -> Compose:
    """Read compose files: the main one, and others named with `_` for `.`."""
    (folder / "compose.yml").write_text(dedent(main))
    for name, text in others.items():
        (folder / name.replace("_", ".")).write_text(dedent(text))
    return Compose.load(folder, env)


def service(folder: Path, body: str) -> Compose:
    """Read a compose file whose service `app` has this body, in flow style."""
    return load(folder, f"services: {{app: {body}}}\n")


# -- reading


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("services:\n  app: [\n", r"'compose.yml' line 3 of the recipe is not readable as YAML"),
        (
            "a: b: c\n",
            r"'compose.yml' line 1 of the recipe is not readable as YAML: mapping values",
        ),
        ("a: !!python/object:os.system x\n", "line 1 of the recipe .*could not determine a constr"),
        ("a: 2026-99-99\n", "not readable as YAML: month must be in"),
        ("a: \x07\n", "not readable as YAML"),
        pytest.param("[" * 5000, "not readable as YAML: too deeply nested", id="deep"),
        ("- a\n", "it has no keys"),
        ("", "it has no keys"),
        ("version: '3.8'\n", "'compose.yml' of the recipe has no services"),
        ("services: [app]\n", "'compose.yml': services must be 'key: value' lines"),
        ("services: {app: text}\n", "services.app must be 'key: value' lines, but is 'text'"),
        ("services: {app: {volumes: {a: /b}}}\n", "services.app.volumes must be a list"),
        ("services: {app: {volumes: [[a]]}}\n", "services.app.volumes has .* which is no mount"),
        ("services: {app: {deploy: [a]}}\n", "services.app.deploy must be"),
        ("services: {app: {healthcheck: 5s}}\n", "services.app.healthcheck must be"),
        ("services: {app: {image: a}}\nsecrets: [a]\n", "'compose.yml': secrets must be"),
    ],
)
def test_a_file_that_is_no_compose_file_is_refused_with_its_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    """A sentence that names file and line or key, whatever a pull request holds."""
    (tmp_path / "compose.yml").write_text(text)
    with pytest.raises(RecipeFailure, match=problem):
        Compose.load(tmp_path, ENV)


def bomb(levels: int, form: str) -> str:
    """Return a document that each level makes nine times larger."""
    lines = [form.format(here="a0", inner="1, 2") if "[" in form else "a0: &a0 {x: 1}"]
    for level in range(1, levels):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(form.format(here=f"a{level}", inner=inner))
    return "\n".join(lines) + "\nservices: {app: {image: a}}\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(bomb(9, "{here}: &{here} [{inner}]"), id="lists"),
        pytest.param(bomb(9, "{here}: &{here} {{<<: [{inner}]}}"), id="merged-maps"),
        pytest.param("a: &a [*a]\nservices: {app: {image: a}}\n", id="within-itself"),
        pytest.param("a: &a '" + "x$$" * 9000 + "'\nb: [" + "*a," * 9000 + "]\n", id="long-text"),
    ],
)
def test_aliases_cannot_make_a_small_file_large(tmp_path: Path, text: str) -> None:
    """Refused before anything is made of them, so it takes neither time nor memory."""
    (tmp_path / "compose.yml").write_text(text)
    with pytest.raises(RecipeFailure, match="becomes larger than 4 MiB through aliases"):
        Compose.load(tmp_path, ENV)


def test_ordinary_anchors_are_fine(tmp_path: Path) -> None:
    """Recipes share settings between services with them."""
    text = "x: &x {image: a:1}\nservices: {app: {<<: *x}, cron: {<<: *x, image: b:2}}\n"
    assert load(tmp_path, text).images == ("a:1", "b:2")


def test_a_file_over_a_mebibyte_is_refused(tmp_path: Path) -> None:
    """Without reading it."""
    with pytest.raises(RecipeFailure, match=r"'compose.yml' of the recipe is larger than 1 MiB"):
        load(tmp_path, "#" * (1024 * 1024 + 1))


@pytest.mark.parametrize("name", ["compose.gone.yml", ""])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """COMPOSE_FILE may name what this version does not have."""
    env = {**ENV, "COMPOSE_FILE": f"compose.yml:{name}"}
    with pytest.raises(RecipeFailure, match=f"cannot read '{name}' of the recipe"):
        load(tmp_path, "services: {app: {image: a}}\n", env)


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/compose.yml"])
def test_a_file_outside_of_the_recipe_is_refused(tmp_path: Path, name: str) -> None:
    """COMPOSE_FILE is a recipe's word, and recipes are data."""
    with pytest.raises(RecipeFailure, match="which is outside of the recipe"):
        load(tmp_path, "services: {app: {image: a}}\n", {"COMPOSE_FILE": name})


# -- interpolation


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("$A", "one"),
        ("$A-b", "one-b"),
        ("$$A", "$A"),
        ("$${A}", "${A}"),
        ("${B}", ""),
        ("${B:-two}", "two"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY-two}", ""),
        ("${B-two}", "two"),
        ("${A:-two}", "one"),
        ("${A:+two}", "two"),
        ("${B:+two}", ""),
        ("${EMPTY:+two}", ""),
        ("${EMPTY+two}", "two"),
        ("${A:?must be set}", "one"),
        ("${B:-${A}}", "one"),
        ("${B:-${C:-three}}", "three"),
        ("${B:-}", ""),
        ("5$", "5$"),
    ],
)
def test_variables_are_put_in_as_docker_does(tmp_path: Path, text: str, value: str) -> None:
    """With a colon an empty value counts as unset."""
    found = service(tmp_path, f"{{image: 'a:1', deploy: {{labels: ['x={text}']}}}}")
    env = {**ENV, "A": "one", "EMPTY": ""}
    found = Compose.load(tmp_path, env)
    assert found.services[0].labels["x"] == value


def test_keys_are_not_interpolated(tmp_path: Path) -> None:
    """Docker does not, which is why recipes write such labels as a list."""
    found = service(tmp_path, "{image: a, deploy: {labels: {'x.${STACK_NAME}': 1}}}")
    assert list(found.services[0].labels) == ["x.${STACK_NAME}"]


def test_variables_come_from_abra_sh_too(tmp_path: Path) -> None:
    """Versions of configs stand there, at the start of a line; the file is read, not run."""
    (tmp_path / "abra.sh").write_text(
        f"export A=v1 # why\nexport B=\"x y\"\nexport C='z'\nD=v4\ntouch {tmp_path}/ran\n"
        "export E=$(date)\nf() { echo export F; }\ng() {\n  export G=1\n}\n"
    )
    assert exports(tmp_path) == {"A": "v1", "B": "x y", "C": "z", "E": "$(date)"}
    assert not (tmp_path / "ran").exists()


def test_without_abra_sh_there_are_no_exports(tmp_path: Path) -> None:
    """Small recipes have none."""
    assert exports(tmp_path) == {}


# -- merging


def test_only_enabled_files_count(tmp_path: Path) -> None:
    """An overlay that nobody enabled is no part of the app."""
    overlay = "services: {db: {image: 'pg:15'}}\n"
    main = "services: {app: {image: 'a:1'}}\n"
    assert load(tmp_path, main, compose_db_yml=overlay).images == ("a:1",)
    env = {**ENV, "COMPOSE_FILE": "compose.yml:compose.db.yml"}
    assert load(tmp_path, main, env, compose_db_yml=overlay).images == ("a:1", "pg:15")


def test_an_overlay_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    """Labels merge in whichever of the two forms, mounts by their path, secrets by name."""
    main = """
        services:
          app:
            image: a:1
            volumes: ["data:/data", "conf:/conf"]
            secrets: [one]
            networks: [proxy]
            deploy: {labels: ["x=1", "y=1"]}
    """
    overlay = """
        services:
          app:
            image: a:2
            volumes: [{type: volume, source: other, target: /data}]
            secrets: [one, {source: two, target: /two}]
            networks: {internal: {aliases: [z]}}
            deploy: {labels: {y: 2, z: true}}
    """
    env = {**ENV, "COMPOSE_FILE": "compose.yml:compose.more.yml"}
    (app,) = load(tmp_path, main, env, compose_more_yml=overlay).services
    assert app.image == "a:2"
    assert app.labels == {"x": "1", "y": "2", "z": "true"}
    assert app.mounts == (Mount("other", "/data", ""), Mount("conf", "/conf", ""))
    assert app.secrets == ("one", "two")
    assert app.networks == ("proxy", "internal")


def test_a_service_is_taken_apart(tmp_path: Path) -> None:
    """How often it runs, how it is updated, and how it says that it is well."""
    body = """{
        image: a, configs: [{source: c, target: /c}], depends_on: {db: {condition: x}},
        healthcheck: {interval: 30s},
        deploy: {mode: replicated, replicas: "${N:-3}", endpoint_mode: dnsrr,
                 update_config: {order: start-first}, restart_policy: {condition: on-failure}}}"""
    (app,) = service(tmp_path, body).services
    assert (app.mode, app.replicas, app.endpoint_mode) == ("replicated", 3, "dnsrr")
    assert app.update_config == {"order": "start-first"}
    assert app.restart_policy == {"condition": "on-failure"}
    assert app.healthcheck == {"interval": "30s"}
    assert app.configs == ("c",)
    assert app.depends_on == ("db",)


def test_what_a_service_leaves_out_is_dockers_default(tmp_path: Path) -> None:
    """One replica, no healthcheck."""
    (app,) = service(tmp_path, "{image: a}").services
    assert (app.mode, app.replicas, app.healthcheck) == ("replicated", 1, None)


@pytest.mark.parametrize(
    ("entry", "mount"),
    [
        ("data:/data", Mount("data", "/data", "")),
        ("data:/data:ro", Mount("data", "/data", "")),
        ("/etc/timezone:/etc/timezone:ro", Mount("", "/etc/timezone", "/etc/timezone")),
        ("./conf:/conf", Mount("", "/conf", "./conf")),
        ("/anonymous", Mount("", "/anonymous", "")),
        ("{type: volume, source: data, target: /data}", Mount("data", "/data", "")),
        ("{type: bind, source: /srv, target: /data}", Mount("", "/data", "/srv")),
        ("{type: tmpfs, target: /tmp}", Mount("", "/tmp", "")),
    ],
)
def test_volumes_and_folders_of_the_host_are_told_apart(
    tmp_path: Path, entry: str, mount: Mount
) -> None:
    """In the short form and the long one."""
    text = entry if entry.startswith("{") else f"'{entry}'"
    assert service(tmp_path, f"{{image: a, volumes: [{text}]}}").services[0].mounts == (mount,)


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("${TIMEOUT:-120}", 120), ("soon", None), ("9" * 50, None)]
)
def test_the_labels_say_version_and_timeout(
    tmp_path: Path, timeout: str, seconds: int | None
) -> None:
    """Those of this stack, and no nonsense."""
    labels = f"""["coop-cloud.${{STACK_NAME}}.version=1.2.0+1", "coop-cloud.other.version=9.0.0+1",
                  "coop-cloud.${{STACK_NAME}}.timeout={timeout}"]"""
    found = service(tmp_path, f"{{image: a, deploy: {{labels: {labels}}}}}")
    assert (found.version, found.timeout) == ("1.2.0+1", seconds)


# -- backups


PG = """
services:
  app:
    image: a:1
    volumes: ["uploads:/up", "cache:/cache", "/srv:/srv"]
    deploy:
      labels:
        backupbot.backup: true
        backupbot.backup.volumes.cache: false
  db:
    image: pg:15
    volumes: ["postgres:/var/lib/postgresql/data"]
    deploy:
      labels:
        - "backupbot.backup=${ENABLE_BACKUPS:-true}"
        - "backupbot.backup.pre-hook=/pg_backup.sh backup"
        - "backupbot.backup.volumes.postgres.path=backup.sql, /dumps/ ,"
  redis:
    image: r:7
    volumes: ["redis:/data"]
"""


def test_the_labels_promise_volumes_or_paths_in_them(tmp_path: Path) -> None:
    """Whole volumes by default, some left out, of some a path, and only of services taking part."""
    found = load(tmp_path, PG)
    assert found.backed_up_services == ("app", "db")
    assert found.covered == (
        CoveredVolume("app", "uploads", "/up", None, None),
        CoveredVolume(
            "db",
            "postgres",
            "/var/lib/postgresql/data",
            ("backup.sql", "dumps"),
            "/pg_backup.sh backup",
        ),
    )


def test_an_operator_may_switch_backups_off(tmp_path: Path) -> None:
    """The label is often fed by ENABLE_BACKUPS."""
    found = load(tmp_path, PG, {**ENV, "ENABLE_BACKUPS": "false"})
    assert found.backed_up_services == ("app",)


@pytest.mark.parametrize(
    ("labels", "capable"),
    [
        ("['backupbot.backup=true']", True),
        ("{backupbot.backup: true}", True),
        ("{backupbot.backup: 'True'}", True),
        ("['backupbot.backup=false']", False),
        ("['backupbot.backup']", False),
        ("['backupbot.backup.path=/data']", False),
        ("[]", False),
    ],
)
def test_a_recipe_without_the_label_has_no_backup(
    tmp_path: Path, labels: str, capable: bool
) -> None:
    """Not applicable, neither passed nor failed (incidents B6, B7)."""
    found = service(tmp_path, f"{{image: a, deploy: {{labels: {labels}}}}}")
    assert found.is_backup_capable is capable


def test_labels_of_the_container_do_not_count(tmp_path: Path) -> None:
    """The bot reads the service's labels, which stand below deploy."""
    assert not service(tmp_path, "{image: a, labels: ['backupbot.backup=true']}").is_backup_capable


@pytest.mark.parametrize(
    ("recipe", "covered"),
    [
        ("custom-html", [("app", "content", None)]),
        ("miniflux", [("db", "postgres", ("backup.sql",))]),
    ],
)
def test_the_demo_recipes_are_read_without_a_complaint(
    recipe: str, covered: list[tuple[str, str, tuple[str, ...] | None]]
) -> None:
    """Real files, in the idiom of published recipes."""
    folder = SOURCES / recipe / "head"
    found = Compose.load(folder, {**EnvFile.read(folder / ".env.sample").values(), **ENV})
    assert [(c.service, c.volume, c.paths) for c in found.covered] == covered
    assert found.version is not None
    assert found.timeout is not None
    assert (flaws.warnings(found), flaws.durations(found)) == ([], [])
    assert hazards.find(found, folder, ENV["STACK_NAME"]) == []
    assert flaws.names(found, ENV["STACK_NAME"]) == []
