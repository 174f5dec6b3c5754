"""Docker's engine with a single-node swarm: the running one, or one that is started here."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import docker

from sandbox.host import paths
from sandbox.host.daemon import Daemon
from sandbox.host.shell import SetupError, run, say, works

PACKAGES = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "bwrap": "bubblewrap",
    "git": "git",
    "gcc": "gcc",
    "openssl": "openssl",
    "shellcheck": "shellcheck",
    "yamllint": "yamllint",
}
START_TIMEOUT = 60.0  # seconds
GWBRIDGE = "docker_gwbridge"
OWN = Daemon("dockerd", paths.STATE)  # the engine, if the set-up had to start it


def install_packages() -> None:
    """Install the Debian packages that are missing."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for tool, name in PACKAGES.items() if shutil.which(tool, path=path) is None]
    if "docker.io" in missing and works(["docker", "info"]):
        missing.remove("docker.io")
    if not missing:
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], doing="reading Debian's package lists", env=env)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    run(install, doing=f"installing {', '.join(missing)}", timeout=900, env=env)


def ensure_engine() -> None:
    """Make sure that Docker's engine answers."""
    if works(["docker", "info"]):
        return
    if Path("/run/systemd/system").is_dir():
        run(["systemctl", "start", "docker"], doing="starting Docker by systemd")
    else:
        _start()


def _start() -> None:
    """Start dockerd in a session of its own; its log is in the cache."""
    for name in ("/var/run/docker.pid", "/var/run/docker/containerd/containerd.pid"):
        _remove_stale_pid_file(Path(name))
    say(f"starting Docker's engine (log: {OWN.log}) …")
    daemon = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if daemon is None:
        raise SetupError("dockerd was not found; install Debian's package docker.io")
    env = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    OWN.start([daemon], env)
    deadline = time.monotonic() + START_TIMEOUT
    while not works(["docker", "info"]):
        if OWN.pid() is None or time.monotonic() > deadline:
            tail = "\n  ".join(OWN.log.read_text(errors="replace").splitlines()[-12:])
            raise SetupError(f"Docker's engine did not start; the end of {OWN.log}:\n  {tail}")
        time.sleep(0.25)


def _remove_stale_pid_file(path: Path) -> None:
    """Remove a pid file unless its process is a running dockerd or containerd."""
    try:
        stat = Path(f"/proc/{int(path.read_text())}/stat").read_text()
    except (OSError, ValueError):
        stat = "() Z"
    name, state = stat.partition("(")[2].rpartition(")")[0], stat.rpartition(")")[2].split()[0]
    if name not in ("dockerd", "containerd") or state == "Z":
        path.unlink(missing_ok=True)


def ensure_swarm() -> None:
    """Make sure that the engine is the manager of a single-node swarm on loopback."""
    state = json.loads(run(["docker", "info", "--format", "{{json .Swarm}}"]))
    node = state.get("LocalNodeState")
    if node == "active" and state.get("ControlAvailable"):
        _wait_for_manager()
        return
    if node not in ("inactive", ""):
        raise SetupError(
            f"this engine's swarm is '{node}': {state.get('Error') or 'no manager here'}; "
            "fix it, or leave it with `docker swarm leave --force`"
        )
    _loopback_bridge()
    words = ["docker", "swarm", "init", "--advertise-addr", "127.0.0.1"]
    run([*words, "--listen-addr", "127.0.0.1:2377"], doing="creating a single-node swarm")


def _wait_for_manager() -> None:
    """Wait until the manager of a swarm answers, for the engine may have just started."""
    deadline = time.monotonic() + START_TIMEOUT
    while not works(["docker", "node", "ls"]):
        if time.monotonic() > deadline:
            raise SetupError("the swarm's manager does not answer; see `docker node ls`")
        time.sleep(0.25)


def _loopback_bridge() -> None:
    """Create the bridge that Swarm publishes ports on, bound to loopback, unless it exists.

    Swarm has no option for the host address of published ports; this option of the bridge keeps the proxy's
    ports off other interfaces.
    """
    if works(["docker", "network", "inspect", GWBRIDGE]):
        return
    options = {
        "com.docker.network.bridge.name": GWBRIDGE,
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
    }
    words = [part for key, value in options.items() for part in ("--opt", f"{key}={value}")]
    run(["docker", "network", "create", "--driver", "bridge", *words, GWBRIDGE])


def ensure_network() -> None:
    """Make sure that the proxy's overlay network exists, with addresses for many apps."""
    form = "{{.Driver}} {{.Attachable}} {{range .IPAM.Config}}{{.Subnet}}{{end}}"
    inspect = ["docker", "network", "inspect", paths.PROXY_NETWORK, "--format", form]
    if works(inspect):
        found = run(inspect).split()
        if found[0] != "overlay":
            raise SetupError(
                f"the network 'proxy' exists, but is a {found[0]} network, not overlay; "
                "remove it with `docker network rm proxy`"
            )
        return
    words = ["docker", "network", "create", "--driver", "overlay", "--attachable"]
    run(
        [*words, "--subnet", paths.PROXY_SUBNET, paths.PROXY_NETWORK],
        doing="creating network proxy",
    )


def api() -> Any:
    """Return Docker's low-level client."""
    return docker.from_env(timeout=60).api
