"""Build the command line that starts a program in a jail."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError
from harness.host.cgroup import Limits
from harness.host.resources import MIB

LIMITS = Limits(memory=512 * MIB, processes=64, processors=1.0)
MAX_TMP = 64 * MIB  # bytes below /tmp; they count as memory, too
MAX_SHM = 16 * MIB  # bytes below /dev/shm
MAX_FILE = 32 * MIB  # bytes of one file
MAX_OPEN_FILES = 256
PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
WORK_DIR = "/recipe"
RESULTS = "/results"
CA = "/etc/ca.pem"


@dataclass(frozen=True, slots=True)
class Target:
    """The only thing that a jail may reach: an app, by its domain, through the proxy.

    Attributes:
        domain: the app's domain.
        proxy: host and port of the proxy.
        ca_file: CA bundle for the app's certificate; certifi's if None.
    """

    domain: str
    proxy: tuple[str, int]
    ca_file: Path | None = None


def pytest(folder: str) -> list[str]:
    """Return the command that runs pytest in the jail on a folder below `WORK_DIR`.

    `-S` leaves out the `site` module: other packages of the host must not be importable.

    Raises:
        InfraError: no Python of our version is available in the jail.
    """
    words = [str(_python()), "-S", "-m", "pytest", folder, "--rootdir", WORK_DIR]
    return [
        *words,
        f"--junitxml={RESULTS}",
        *("-p", "no:cacheprovider"),
        "--color=no",
        "--tb=short",
    ]


def build(
    folder: Path,
    relay: Path,
    target: Target,
    uid: int,
    groups: Sequence[Path],
    words: Sequence[str],
) -> list[str]:
    """Return the whole command: network namespace and relay, then drop rights, then bubblewrap.

    Args:
        folder: the jail's files on the host; see `files`.
        relay: the relay script, readable by the jail's user.
        target: the app that may be reached.
        uid: the jail's user and group id.
        groups: `cgroup.procs` files of the control groups to join.
        words: the program to run, with its arguments.
    """
    network = _network(folder, relay, target, uid, groups)
    return [*network, *_drop_rights(uid), *_bubblewrap(folder, target), "--", *words]


def _python() -> Path:
    """Return an interpreter below `PROGRAMS`: ours, or Debian's of the same version.

    Raises:
        InfraError: there is none.
    """
    ours = Path(sys.executable).resolve()
    if any(ours.is_relative_to(name) for name in PROGRAMS):
        return ours
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path="/usr/bin:/bin")
    if found is None:
        raise InfraError(
            f"the jail cannot use our Python, '{ours}', and there is no {version} in /usr/bin: "
            f"run `apt-get install {version}`"
        )
    return Path(found)


def _network(
    folder: Path, relay: Path, target: Target, uid: int, groups: Sequence[Path]
) -> list[str]:
    """Return the start of the command: new network and mount namespaces, then the relay script."""
    host, port = target.proxy
    our_network = f"/proc/{os.getpid()}/ns/net"
    cgroups = ":".join(map(str, groups))
    start = ["setpriv", "--pdeathsig=KILL", "--", "unshare", "--net", "--mount", "--"]
    program = [str(_python()), "-I", str(relay), our_network, host, str(port), str(uid), cgroups]
    return [*start, *program, str(folder / "mounts"), "--"]


def _drop_rights(uid: int) -> list[str]:
    limits = [f"--fsize={MAX_FILE}", f"--nofile={MAX_OPEN_FILES}", "--core=0"]
    user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    rights = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    return ["prlimit", *limits, "--", "setpriv", *user, *rights, "--"]


def _bubblewrap(folder: Path, target: Target) -> list[str]:
    words = ["bwrap", "--die-with-parent", "--new-session", "--unshare-user", "--disable-userns"]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", "recipe", *_programs(), "--proc", "/proc", "--dev", "/dev"]
    words += ["--size", str(MAX_SHM), "--tmpfs", "/dev/shm"]  # noqa: S108 - of the jail
    words += ["--size", str(MAX_TMP), "--tmpfs", "/tmp"]  # noqa: S108 - of the jail
    for name in ("etc", "site", "recipe"):
        words += ["--ro-bind", str(folder / name), f"/{name}"]
    words += ["--bind", str(folder / "results"), RESULTS, "--chdir", WORK_DIR]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--clearenv"]
    for key, value in _environment(target).items():
        words += ["--setenv", key, value]
    return words


def _programs() -> list[str]:
    """Return read-only mounts of the host's programs and libraries that exist."""
    words: list[str] = []
    for name in PROGRAMS:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    return words


def _environment(target: Target) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - of the jail
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        "APP_DOMAIN": target.domain,
        "APP_URL": f"https://{target.domain}",
        "SSL_CERT_FILE": CA,
        "REQUESTS_CA_BUNDLE": CA,
    }
