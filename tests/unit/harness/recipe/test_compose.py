"""Compose files are merged like Docker does, and their labels are read."""

from pathlib import Path

import pytest

from harness.recipe import flaws, hazards
from harness.recipe.compose import Compose, CoveredVolume, Mount
from harness.recipe.env_file import EnvFile
from tests.unit.harness.recipe.compose_files import ENV, load, service

SOURCES = Path(__file__).parents[4] / "sandbox" / "recipes"


# -- merging


def test_only_enabled_files_count(tmp_path: Path) -> None:
    overlay = "services: {db: {image: 'pg:15'}}\n"
    main = "services: {app: {image: 'a:1'}}\n"
    assert load(tmp_path, main, compose_db_yml=overlay).images == ("a:1",)
    env = {**ENV, "COMPOSE_FILE": "compose.yml:compose.db.yml"}
    assert load(tmp_path, main, env, compose_db_yml=overlay).images == ("a:1", "pg:15")


def test_an_overlay_changes_only_the_keys_that_it_names(tmp_path: Path) -> None:
    """Labels merge in either form, mounts by path, secrets by name."""
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


def test_the_fields_of_a_service_are_read(tmp_path: Path) -> None:
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


def test_missing_fields_of_a_service_have_dockers_defaults(tmp_path: Path) -> None:
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
def test_volumes_and_bind_mounts_are_distinguished(
    tmp_path: Path, entry: str, mount: Mount
) -> None:
    text = entry if entry.startswith("{") else f"'{entry}'"
    assert service(tmp_path, f"{{image: a, volumes: [{text}]}}").services[0].mounts == (mount,)


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("${TIMEOUT:-120}", 120), ("soon", None), ("9" * 50, None)]
)
def test_version_and_timeout_are_read_from_the_labels(
    tmp_path: Path, timeout: str, seconds: int | None
) -> None:
    """Only from those of the app's own stack."""
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


def test_backup_labels_include_volumes_or_paths_in_them(tmp_path: Path) -> None:
    """Whole volumes by default; labels exclude a volume or select paths, and count for their own service."""
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


def test_an_operator_can_turn_backups_off(tmp_path: Path) -> None:
    """The label is often set by ENABLE_BACKUPS."""
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
    """The stage is then not applicable, neither passed nor failed (incidents B6, B7)."""
    found = service(tmp_path, f"{{image: a, deploy: {{labels: {labels}}}}}")
    assert found.is_backup_capable is capable


def test_labels_of_a_container_do_not_count(tmp_path: Path) -> None:
    """The bot reads the labels of the service, which are below `deploy`."""
    assert not service(tmp_path, "{image: a, labels: ['backupbot.backup=true']}").is_backup_capable


@pytest.mark.parametrize(
    ("recipe", "covered"),
    [
        ("custom-html", [("app", "content", None)]),
        ("miniflux", [("db", "postgres", ("backup.sql",))]),
    ],
)
def test_the_demo_recipes_have_no_hazards_or_flaws(
    recipe: str, covered: list[tuple[str, str, tuple[str, ...] | None]]
) -> None:
    folder = SOURCES / recipe / "head"
    found = Compose.load(folder, {**EnvFile.read(folder / ".env.sample").values(), **ENV})
    assert [(c.service, c.volume, c.paths) for c in found.covered] == covered
    assert found.version is not None
    assert found.timeout is not None
    assert (flaws.warnings(found), flaws.durations(found)) == ([], [])
    assert hazards.find(found, folder, ENV["STACK_NAME"]) == []
    assert flaws.names(found, ENV["STACK_NAME"]) == []
