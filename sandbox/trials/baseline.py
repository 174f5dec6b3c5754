"""The baseline of the benchmark: the steps of a cold run with plain Docker, without the harness.

`make bench` measures it right before a cold run of custom-html, so that both are from the same minute on the
same machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
import yaml
from docker.errors import APIError, NotFound

from sandbox.host import engine, paths, services
from sandbox.host.shell import SetupError, run

STACK = "cccibaseline"
HOST = f"baseline.{paths.APPS_DOMAIN}"
LABEL = f"com.docker.stack.namespace={STACK}"
STEP_TIMEOUT = 60.0  # seconds
POLL_INTERVAL = 0.02  # seconds


def measure() -> dict[str, float]:
    """Run the steps once; return the seconds of each, and their sum as "whole".

    Raises:
        SetupError: a step failed or took more than a minute.
    """
    api = engine.api()
    times: dict[str, float] = {}
    services.ensure_certificate()
    try:
        _plan(api, times)
    finally:
        _remove(api)
    times["whole"] = sum(times.values())
    return {name: round(seconds, 2) for name, seconds in times.items()}


def _plan(api: Any, times: dict[str, float]) -> None:
    with _timed(times, "deploy to running"):
        _deploy("ccci/nginx:1.22.1-1")
        _wait(lambda: _running(api))
    with _timed(times, "running to 200"):
        _wait(_responds)
    with _timed(times, "redeploy"):
        _deploy("ccci/nginx:1.22.1-1")
    with _timed(times, "backup"):
        _exec_in_bot(api, "restic", "backup", "--quiet", "--tag", STACK, _volume())
        _exec_in_bot(api, "restic", "snapshots", "--json", "--tag", STACK)
    with _timed(times, "stop"):
        _scale(0)
        _wait(lambda: not api.containers(filters={"label": LABEL}))
    with _timed(times, "restore"):
        _exec_in_bot(api, "restic", "restore", "--quiet", "--tag", STACK, "latest", "--target", "/")
    with _timed(times, "start to 200"):
        _scale(1)
        _wait(lambda: _running(api) and _responds())
    with _timed(times, "remove"):
        _remove(api)
    with _timed(times, "base to 200"):
        _deploy("ccci/nginx:1.22.1")
        _wait(lambda: _running(api) and _responds())
    with _timed(times, "upgrade settled"):
        _deploy("ccci/nginx:1.22.1-1")
        _wait(lambda: _update(api) == "completed")
    with _timed(times, "upgraded to 200"):
        _wait(_responds)
    with _timed(times, "remove again"):
        _remove(api)


@contextmanager
def _timed(times: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    times[name] = time.monotonic() - start


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STEP_TIMEOUT
    while not done():
        if time.monotonic() > deadline:
            raise SetupError(f"a step of the baseline took over {STEP_TIMEOUT:.0f} s")
        time.sleep(POLL_INTERVAL)


def _deploy(image: str) -> None:
    labels = {
        "traefik.enable": "true",
        "traefik.docker.network": paths.PROXY_NETWORK,
        f"traefik.http.routers.{STACK}.rule": f"Host(`{HOST}`)",
        f"traefik.http.routers.{STACK}.entrypoints": "web-secure",
        f"traefik.http.routers.{STACK}.tls": "true",
        f"traefik.http.services.{STACK}.loadbalancer.server.port": "80",
    }
    check = {"test": ["CMD", "curl", "-fsS", "http://localhost/"], "interval": "1s", "retries": 5}
    deploy = {"labels": labels, "update_config": {"order": "stop-first", "monitor": "1s"}}
    config = {"source": "site", "target": "/etc/nginx/conf.d/default.conf"}
    service = {
        "image": image,
        "networks": [paths.PROXY_NETWORK],
        "volumes": ["content:/usr/share/nginx/html"],
        "configs": [config],
        "healthcheck": check,
        "deploy": deploy,
    }
    site = paths.STATE / "baseline.conf"
    site.write_text("server { listen 80 default_server; root /usr/share/nginx/html; }\n")
    body = {
        "version": "3.8",
        "services": {"app": service},
        "networks": {paths.PROXY_NETWORK: {"external": True}},
        "volumes": {"content": {}},
        "configs": {"site": {"file": str(site)}},
    }
    path = paths.STATE / "baseline.yml"
    path.write_text(yaml.safe_dump(body))
    run(["docker", "stack", "deploy", "--resolve-image", "never", "-c", path, STACK])


def _running(api: Any) -> bool:
    tasks = api.tasks(filters={"label": LABEL, "_up-to-date": True, "desired-state": "running"})
    return any(task["Status"]["State"] == "running" for task in tasks)


def _update(api: Any) -> str:
    (service,) = api.services(filters={"label": LABEL})
    return str((service.get("UpdateStatus") or {}).get("State", ""))


def _responds() -> bool:
    urllib3.disable_warnings()
    url = f"https://127.0.0.1:{paths.HTTPS_PORT}/"
    try:
        response = requests.get(url, headers={"Host": HOST}, verify=False, timeout=3)
    except requests.RequestException:
        return False
    return response.status_code == 200


def _scale(replicas: int) -> None:
    run(["docker", "service", "scale", "--detach", f"{STACK}_app={replicas}"])


def _volume() -> str:
    return f"/var/lib/docker/volumes/{STACK}_content/_data"


def _exec_in_bot(api: Any, *argv: str) -> None:
    (container,) = api.containers(filters={"label": "com.docker.swarm.service.name=backupbot_app"})
    made = api.exec_create(container["Id"], list(argv))
    api.exec_start(made["Id"])
    if api.exec_inspect(made["Id"])["ExitCode"] != 0:
        raise SetupError(f"'{' '.join(argv[:2])}' failed in the backup bot")


def _remove(api: Any) -> None:
    """Remove the stack by force and wait until it is gone."""

    def gone() -> bool:
        label = {"label": LABEL}
        kinds: tuple[tuple[list[Any], Callable[[Any], Any]], ...] = (
            (api.services(filters=label), lambda o: api.remove_service(o["ID"])),
            (api.containers(all=True, filters=label), _force(api)),
            (api.configs(filters=label), lambda o: api.remove_config(o["ID"])),
            (api.volumes(filters=label)["Volumes"] or [], lambda o: api.remove_volume(o["Name"])),
        )
        for objects, remove in kinds:
            for found in objects:
                try:
                    remove(found)
                except (APIError, NotFound):
                    continue  # tried again in the next round
        return not any(objects for objects, _ in kinds)

    _wait(gone)


def _force(api: Any) -> Callable[[Any], Any]:
    return lambda found: api.remove_container(found["Id"], force=True)
