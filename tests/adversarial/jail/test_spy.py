"""A suite that looks for secrets, sockets and escapes in its jail finds none."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.jail import command, jail
from harness.settings import CHECKOUT
from tests.adversarial.jail import spy
from tests.adversarial.jail.jail_env import DOMAIN, UntrustedSuite, assert_nothing_left, proxy

CANARY = "canary-a4c1f0"
IPC_CREAT, IPC_RMID = 0o1000, 0  # linux/ipc.h
# linux/unistd.h, linux/keyctl.h
ADD_KEY, SESSION = {"x86_64": 248, "aarch64": 217}[platform.machine()], -3
REFUSED = "refused: "


def addresses() -> list[str]:
    """Return the host's own addresses other than loopback."""
    done = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True)
    return [word for word in done.stdout.split() if "." in word]


@pytest.fixture(scope="module")
def secret_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a secret that everybody may read."""
    folder = tmp_path_factory.mktemp("secret_dir")
    (folder / CANARY).write_text(CANARY)
    for path in (folder, *folder.parents):
        if path != Path("/tmp") and path.is_relative_to("/tmp"):
            path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def found(secret_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of the spy, made while everything that it looks for existed."""
    if missing := jail.why_unavailable():
        pytest.skip(missing)
    abstract = f"cc-ci-{os.getpid()}"
    paths = [
        "/root",
        "/home",
        "/run",
        "/var",
        "/etc/shadow",
        str(CHECKOUT),
        str(secret_dir / CANARY),
    ]
    paths += ["/var/run/docker.sock", "/run/cc-ci-active", "/proc/1/root", "/proc/1/cwd/tests"]
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_server(("0.0.0.0", 0)) as listener,
        socket.socket(socket.AF_UNIX) as hidden,
        proxy() as address,
        contextlib.ExitStack() as stack,
    ):
        patch.setenv("DRONE_TOKEN", CANARY)
        _add_key()
        hidden.bind(f"\0{abstract}")
        hidden.listen()
        port = listener.getsockname()[1]
        suite = UntrustedSuite(tmp_path_factory.mktemp("spy"), address)
        asked = {"port": port, "addresses": addresses(), "abstract": abstract, "paths": paths}
        asked |= {"key": CANARY, "memory": stack.enter_context(_shared_memory())}
        suite.add_file("asked.json", json.dumps(asked))
        result = suite.run(Path(spy.__file__).read_text())
    lines = [line for line in result.output.splitlines() if line.startswith("REPORT ")]
    assert lines, result.output
    assert_nothing_left()
    report: dict[str, Any] = json.loads(lines[0].removeprefix("REPORT "))
    return report


@contextlib.contextmanager
def _shared_memory() -> Iterator[int]:
    """Make shared memory that everybody on this host may read; yield its key."""
    library, key = ctypes.CDLL(None, use_errno=True), os.getpid()
    piece = library.shmget(key, 4096, IPC_CREAT | 0o666)
    assert piece >= 0
    try:
        yield key
    finally:
        library.shmctl(piece, IPC_RMID, None)


def _add_key() -> None:
    """Put the secret into our session keyring, which every child inherits."""
    library, name = ctypes.CDLL(None, use_errno=True), CANARY.encode()
    assert library.syscall(ADD_KEY, b"user", name, name, len(name), SESSION) > 0
    assert CANARY in Path("/proc/keys").read_text()


def test_no_key_is_inherited(found: dict[str, Any]) -> None:
    """A child keeps its parent's session keyring, whatever user it becomes, unless it joins another."""
    assert found["key"].startswith(REFUSED)


def test_it_does_not_have_our_terminal(found: dict[str, Any]) -> None:
    """It has a session of its own; otherwise it could type commands into our terminal."""
    assert found["session"] in found["processes"]


def test_no_open_file_is_inherited(found: dict[str, Any]) -> None:
    """Its descriptors lead to its own files, to /dev/null and to the pipes for its output."""
    assert len(found["descriptors"]) > 3
    own = ("'pipe:", "'/dev/null'", "'/tmp/", "'/proc/", "'/recipe/", "'/results'", REFUSED)
    assert [to for to in found["descriptors"] if not to.startswith(own)] == []


def test_it_reaches_its_app(found: dict[str, Any]) -> None:
    assert found["app"] == repr(f"the app of {DOMAIN}:443".encode())


def test_its_environment_is_minimal(found: dict[str, Any]) -> None:
    pytest_s = {name for name in found["environ"] if name.startswith("PYTEST_")}
    assert set(found["environ"]) - pytest_s == {
        *("PATH", "HOME", "LANG", "PWD", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
        *("APP_DOMAIN", "APP_URL", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    }


def test_the_environment_of_the_jails_first_process_has_no_secret(found: dict[str, Any]) -> None:
    """We start it, with nothing of our environment but PATH and the run's mark."""
    assert "1" in found["environments"]
    assert not [pid for pid, text in found["environments"].items() if CANARY in text]
    assert not [pid for pid, text in found["environments"].items() if "DRONE" in text]


def test_it_has_a_user_of_its_own_without_rights(found: dict[str, Any]) -> None:
    uid = jail.FIRST_UID + os.getpid()
    assert found["ids"] == [uid, uid, uid, uid, []]
    assert found["status"]["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found["status"][kind], 16) == 0, kind
    assert found["setuid"].startswith(REFUSED)


def test_it_shares_no_namespace_with_the_host(found: dict[str, Any]) -> None:
    for name in spy.NAMESPACES:
        assert found["namespaces"][name] != os.readlink(f"/proc/self/ns/{name}"), name
    assert found["name"] == "recipe"


def test_it_has_limits_for_open_files_and_core_dumps(found: dict[str, Any]) -> None:
    """Soft and hard limit are equal, so it cannot raise them."""
    assert found["limits"] == [[command.MAX_OPEN_FILES] * 2, [0, 0]]


def test_it_sees_only_its_own_processes(found: dict[str, Any]) -> None:
    """The jail's first process and itself."""
    assert found["processes"] == [1, 2]


def test_it_does_not_see_the_hosts_files(found: dict[str, Any], secret_dir: Path) -> None:
    """Not even those that everybody may read."""
    assert (secret_dir / CANARY).stat().st_mode & 0o004, "the test proves nothing"
    opened = {path: seen for path, seen in found["files"].items() if not seen.startswith(REFUSED)}
    for path in opened:
        assert path.startswith("/proc/1/"), "a file of the host"
        assert CANARY not in opened[path]


def test_it_sees_only_the_jails_files(found: dict[str, Any]) -> None:
    """Its tests, four files in /etc, its results and its devices."""
    tops = {name.split("/")[1] for name in found["names"]}
    assert tops <= {"recipe", "etc", "results", "dev", "tmp"}
    etc = {name for name in found["names"] if name.startswith("/etc/")}
    assert etc == {"/etc/ca.pem", "/etc/group", "/etc/hosts", "/etc/passwd"}
    assert sorted(n for n in found["names"] if n.startswith("/recipe/")) == [
        "/recipe/tests/asked.json",
        "/recipe/tests/test_own.py",
    ]


@pytest.mark.parametrize("service", ["loopback", "abstract", "docker", "shared memory"])
def test_it_reaches_no_other_service_of_the_host(found: dict[str, Any], service: str) -> None:
    """Another port of loopback, an abstract socket, Docker's socket, shared memory."""
    assert found[service].startswith(REFUSED)


def test_it_does_not_reach_the_hosts_other_addresses(found: dict[str, Any]) -> None:
    """Its only network interface is loopback."""
    assert found["outer"], "this host has no other address, so the test proves nothing"
    assert {answer[: len(REFUSED)] for answer in found["outer"]} == {REFUSED}


def test_it_can_write_only_below_tmp(found: dict[str, Any]) -> None:
    """Not even to its own tests."""
    assert {answer[: len(REFUSED)] for answer in found["writes"].values()} == {REFUSED}
    assert all(found["read-only"].values()), (
        "every file system must be read-only, whatever its owner"
    )


@pytest.mark.parametrize(
    "attempt",
    ["user namespace", "network namespace", "mount", "raise limit"],
)
def test_it_cannot_gain_rights(found: dict[str, Any], attempt: str) -> None:
    assert found[attempt].startswith(REFUSED)
