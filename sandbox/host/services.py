"""The services of the test bed: the proxy as recipes expect it, and the backup bot."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from sandbox.host import images, paths
from sandbox.host.shell import SetupError, run, say, works

UP_TIMEOUT = 60.0  # seconds
BOT_IMAGE = "ccci/backup-bot:1"


def ensure_certificate() -> Path:
    """Make a self-signed wildcard certificate once; return its path. The key is in the same folder."""
    path = paths.STATE / "ca.pem"
    key = paths.STATE / "key.pem"
    if (
        path.exists()
        and key.exists()
        and works(["openssl", "x509", "-checkend", "604800", "-noout", "-in", path])
    ):
        return path
    paths.STATE.mkdir(parents=True, exist_ok=True)
    names = f"subjectAltName=DNS:*.{paths.APPS_DOMAIN},DNS:{paths.APPS_DOMAIN}"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    words += ["-nodes", "-days", "365", "-subj", f"/CN=*.{paths.APPS_DOMAIN}", "-addext", names]
    run([*words, "-keyout", key, "-out", path], doing="creating a wildcard certificate")
    key.chmod(0o600)
    return path


def ensure_proxy() -> None:
    """Make sure that Traefik runs as a Swarm service with the entry points that recipes name."""
    cert = ensure_certificate()
    dynamic = paths.STATE / "dynamic.yml"
    files = {"certFile": "/run/secrets/ssl_cert", "keyFile": "/run/secrets/ssl_key"}
    dynamic.write_text(yaml.safe_dump({"tls": {"certificates": [files]}}))
    body: dict[str, Any] = {
        "version": "3.8",
        "services": {"app": _traefik_service()},
        "networks": {"proxy": {"external": True}},
        "secrets": {
            "ssl_cert": {"file": str(cert)},
            "ssl_key": {"file": str(paths.STATE / "key.pem")},
        },
        "configs": {"dynamic": {"file": str(dynamic)}},
    }
    _stack("traefik", body)
    _wait_for(f"http://127.0.0.1:{paths.API_PORT}/ping", "Traefik")


def _traefik_service() -> dict[str, object]:
    command = [
        "--ping=true",
        "--api=true",
        "--api.insecure=true",
        f"--entrypoints.traefik.address=:{paths.API_PORT}",
        "--entrypoints.web.address=:80",
        f"--entrypoints.web-secure.address=:{paths.HTTPS_PORT}",
        "--providers.swarm.endpoint=unix:///var/run/docker.sock",
        f"--providers.swarm.network={paths.PROXY_NETWORK}",
        "--providers.swarm.exposedByDefault=false",
        "--providers.swarm.refreshSeconds=1",
        "--providers.file.filename=/etc/traefik/dynamic.yml",
    ]
    ports = [
        {"target": port, "published": port, "mode": "host"}
        for port in (paths.HTTPS_PORT, paths.API_PORT)
    ]
    return {
        "image": images.ensure_traefik(),
        "command": command,
        "ports": ports,
        "networks": ["proxy"],
        "volumes": ["/var/run/docker.sock:/var/run/docker.sock:ro"],
        "secrets": ["ssl_cert", "ssl_key"],
        "configs": [{"source": "dynamic", "target": "/etc/traefik/dynamic.yml"}],
        "deploy": {"update_config": {"order": "stop-first"}},
    }


def ensure_backup_bot() -> None:
    """Make sure that the backup bot runs, with an initialised repository."""
    password = paths.STATE / "restic_password"
    if not password.exists():
        run(["openssl", "rand", "-hex", "-out", password, "24"])
        password.chmod(0o600)
    service = {
        "image": BOT_IMAGE,
        "environment": {
            "RESTIC_REPOSITORY": "/backups/restic",
            "RESTIC_PASSWORD_FILE": "/run/secrets/restic_password",
            "RESTIC_CACHE_DIR": "/backups/cache",
        },
        "volumes": [
            "/var/run/docker.sock:/var/run/docker.sock",
            "/var/lib/docker/volumes:/var/lib/docker/volumes",
            "backups:/backups",
        ],
        "secrets": ["restic_password"],
        "healthcheck": {
            "test": ["CMD", "test", "-e", "/run/ready"],
            "interval": "1s",
            "retries": 60,
        },
        "deploy": {"labels": {"coop-cloud.backupbot.enabled": "true"}},
    }
    body: dict[str, Any] = {
        "version": "3.8",
        "services": {"app": service},
        "volumes": {"backups": {}},
        "secrets": {"restic_password": {"file": str(password)}},
    }
    _stack("backupbot", body)
    deadline = time.monotonic() + UP_TIMEOUT
    while "running" not in _task_state("backupbot_app"):
        if time.monotonic() > deadline:
            log = run(["docker", "service", "logs", "--tail", "20", "backupbot_app"])
            raise SetupError(f"the backup bot did not start:\n{log}")
        time.sleep(0.25)


def _task_state(service: str) -> list[str]:
    form = ["--filter", "desired-state=running", "--format", "{{.CurrentState}}"]
    out = run(["docker", "service", "ps", service, *form])
    return [line.split()[0].lower() for line in out.splitlines() if line.strip()]


def _stack(name: str, body: dict[str, Any]) -> None:
    """Deploy a stack unless exactly this one is deployed."""
    image = next(iter(body["services"].values()))["image"]
    made = run(["docker", "image", "inspect", image, "--format", "{{.Id}}"]).strip()
    text = f"# {image} is {made}\n{yaml.safe_dump(body)}"
    applied = paths.STATE / f"{name}.yml"
    there = works(["docker", "service", "inspect", f"{name}_app"])
    if there and applied.exists() and applied.read_text() == text:
        return
    if there:
        run(["docker", "stack", "rm", name], doing=f"removing the old stack {name}")
        _wait_gone(name)
    applied.write_text(text)
    words = ["docker", "stack", "deploy", "--resolve-image", "never", "-c", str(applied), name]
    run(words, doing=f"deploying stack {name}")


def _wait_gone(name: str) -> None:
    label = f"label=com.docker.stack.namespace={name}"
    deadline = time.monotonic() + UP_TIMEOUT
    while run(["docker", "ps", "-aq", "--filter", label]) + run(
        ["docker", "network", "ls", "-q", "--filter", label]
    ):
        if time.monotonic() > deadline:
            raise SetupError(f"the old stack {name} is not removed; see `docker stack ps {name}`")
        time.sleep(0.25)


def _wait_for(url: str, name: str) -> None:
    deadline = time.monotonic() + UP_TIMEOUT
    announced = False
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SetupError(
                f"{name} does not answer at {url}; see `docker service ps traefik_app`"
            )
        if not announced:
            say(f"waiting for {name} to answer at {url} …")
            announced = True
        time.sleep(0.25)


def virtual_addresses_work() -> bool:
    """Prove by a connection whether a service's virtual address works; remember the result for this boot.

    On kernels without IPVS virtual addresses do not work, although everything seems to run.
    """
    engine = json.loads(run(["docker", "info", "--format", "{{json .ID}}"]))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = paths.STATE / f"addresses-{engine[:12].replace(':', '')}-{boot}"
    if not memory.exists():
        memory.write_text("alive" if _probe() else "dead")
    return memory.read_text() != "dead"


def _probe() -> bool:
    """Return True if a service answers on its virtual address."""
    name = "cc-ci-probe"
    if works(["docker", "service", "inspect", name]):
        run(["docker", "service", "rm", name])
    create = ["docker", "service", "create", "--quiet", "--detach", "--name", name]
    image = "ccci/nginx:1.22.1"
    words = ["--no-resolve-image", "--network", paths.PROXY_NETWORK, image, "sh", "-c"]
    server = "server{listen 80;return 200 ok;}"
    listener = f"echo '{server}' >/etc/nginx/conf.d/p.conf; exec nginx -g 'daemon off;'"
    run([*create, *words, listener], doing="checking whether virtual addresses of services work")
    try:
        deadline = time.monotonic() + UP_TIMEOUT
        while _task_state(name) != ["running"]:
            if time.monotonic() > deadline:
                raise SetupError(f"the probe's task is not running; see `docker service ps {name}`")
            time.sleep(0.25)
        container = run(["docker", "ps", "-q", "--filter", f"name={name}"]).split()[0]
        curl = ["docker", "exec", container, "curl", "-fsS", "--max-time", "3", "--retry", "3"]
        own = [*curl, "--retry-all-errors", f"http://tasks.{name}/"]
        if not works(own):
            raise SetupError(
                "the probe's task does not answer at its own address; "
                f"see `docker network inspect {paths.PROXY_NETWORK}`"
            )
        return works([*curl, f"http://{name}/"])
    finally:
        run(["docker", "service", "rm", name])
