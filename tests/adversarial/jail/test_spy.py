"""A suite that looks for secrets, sockets and ways out of its jail finds none."""

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
from tests.adversarial.jail.jail_env import DOMAIN, Stranger, nothing_left, proxy

CANARY = "canary-a4c1f0"
IPC_CREAT, IPC_RMID = 0o1000, 0  # linux/ipc.h
# linux/unistd.h, linux/keyctl.h
ADD_KEY, SESSION = {"x86_64": 248, "aarch64": 217}[platform.machine()], -3
REFUSED = "refused: "


def addresses() -> list[str]:
    """Return the host's own addresses beside loopback's."""
    done = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True)
    return [word for word in done.stdout.split() if "." in word]


@pytest.fixture(scope="module")
def hideout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that everybody may read, with a secret in it."""
    folder = tmp_path_factory.mktemp("hideout")
    (folder / CANARY).write_text(CANARY)
    for place in (folder, *folder.parents):
        if place != Path("/tmp") and place.is_relative_to("/tmp"):
            place.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def told(hideout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the spy told of one look around, while everything it could want was there."""
    if missing := jail.why_unavailable():
        pytest.skip(missing)
    abstract = f"cc-ci-{os.getpid()}"
    paths = ["/root", "/home", "/run", "/var", "/etc/shadow", str(CHECKOUT), str(hideout / CANARY)]
    paths += ["/var/run/docker.sock", "/run/cc-ci-active", "/proc/1/root", "/proc/1/cwd/tests"]
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_server(("0.0.0.0", 0)) as listener,
        socket.socket(socket.AF_UNIX) as hidden,
        proxy() as address,
        contextlib.ExitStack() as stack,
    ):
        patch.setenv("DRONE_TOKEN", CANARY)
        _keep_a_key()
        hidden.bind(f"\0{abstract}")
        hidden.listen()
        port = listener.getsockname()[1]
        stranger = Stranger(tmp_path_factory.mktemp("spy"), address)
        asked = {"port": port, "addresses": addresses(), "abstract": abstract, "paths": paths}
        asked |= {"key": CANARY, "memory": stack.enter_context(_shared_memory())}
        stranger.leave("asked.json", json.dumps(asked))
        left = stranger.run(Path(spy.__file__).read_text())
    lines = [line for line in left.output.splitlines() if line.startswith("TOLD ")]
    assert lines, left.output
    nothing_left()
    found: dict[str, Any] = json.loads(lines[0].removeprefix("TOLD "))
    return found


@contextlib.contextmanager
def _shared_memory() -> Iterator[int]:
    """Keep a piece of memory that everybody on this host may read; yield its key."""
    library, key = ctypes.CDLL(None, use_errno=True), os.getpid()
    piece = library.shmget(key, 4096, IPC_CREAT | 0o666)
    assert piece >= 0
    try:
        yield key
    finally:
        library.shmctl(piece, IPC_RMID, None)


def _keep_a_key() -> None:
    """Put the secret into the kernel's ring of keys that every child of ours is given, too."""
    library, name = ctypes.CDLL(None, use_errno=True), CANARY.encode()
    assert library.syscall(ADD_KEY, b"user", name, name, len(name), SESSION) > 0
    assert CANARY in Path("/proc/keys").read_text()


def test_no_key_of_the_kernel_s_is_inherited(told: dict[str, Any]) -> None:
    """A child has its parent's ring of keys, whoever it becomes, unless it is given another."""
    assert told["key"].startswith(REFUSED)


def test_it_has_no_terminal_of_ours(told: dict[str, Any]) -> None:
    """Its session is one of its own: into the terminal of another it could type what we would run."""
    assert told["session"] in told["processes"]


def test_no_open_file_is_inherited(told: dict[str, Any]) -> None:
    """Its descriptors lead to its own files, to nothing, and to our ears."""
    assert len(told["descriptors"]) > 3
    own = ("'pipe:", "'/dev/null'", "'/tmp/", "'/proc/", "'/recipe/", "'/results'", REFUSED)
    assert [to for to in told["descriptors"] if not to.startswith(own)] == []


def test_it_reaches_its_app(told: dict[str, Any]) -> None:
    """The one way out leads to the app, under its own name."""
    assert told["app"] == repr(f"the app of {DOMAIN}:443".encode())


def test_its_environment_is_what_it_needs_and_no_more(told: dict[str, Any]) -> None:
    """Where the app is, who vouches for its certificate, and where programs are."""
    pytest_s = {name for name in told["environ"] if name.startswith("PYTEST_")}
    assert set(told["environ"]) - pytest_s == {
        *("PATH", "HOME", "LANG", "PWD", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
        *("APP_DOMAIN", "APP_URL", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    }


def test_no_other_process_s_environment_holds_a_secret(told: dict[str, Any]) -> None:
    """The first process of the jail was started by ours, but with nothing of ours but the run's id."""
    assert "1" in told["environments"]
    assert not [pid for pid, text in told["environments"].items() if CANARY in text]
    assert not [pid for pid, text in told["environments"].items() if "DRONE" in text]


def test_it_is_a_user_whom_nobody_else_is(told: dict[str, Any]) -> None:
    """No group, no right, none to be had."""
    uid = jail.FIRST_UID + os.getpid()
    assert told["ids"] == [uid, uid, uid, uid, []]
    assert told["status"]["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(told["status"][kind], 16) == 0, kind
    assert told["setuid"].startswith(REFUSED)


def test_it_shares_no_view_of_the_host(told: dict[str, Any]) -> None:
    """Names, groups, networks, mounts: everything that the kernel can show apart is shown apart."""
    for name in spy.NAMESPACES:
        assert told["namespaces"][name] != os.readlink(f"/proc/self/ns/{name}"), name
    assert told["name"] == "recipe"


def test_it_may_open_few_files_and_leaves_no_core(told: dict[str, Any]) -> None:
    """A limit is as hard as it is soft, so it cannot be raised again."""
    assert told["limits"] == [[command.MAX_OPEN_FILES] * 2, [0, 0]]


def test_it_sees_its_own_processes_alone(told: dict[str, Any]) -> None:
    """The jail's first process, and itself."""
    assert told["processes"] == [1, 2]


def test_the_host_s_files_are_not_there(told: dict[str, Any], hideout: Path) -> None:
    """Not the run's, not the checkout's, not even what everybody may read."""
    assert (hideout / CANARY).stat().st_mode & 0o004, "it proves nothing"
    opened = {path: seen for path, seen in told["files"].items() if not seen.startswith(REFUSED)}
    for path in opened:
        assert path.startswith("/proc/1/"), "there are only the jail's own files"
        assert CANARY not in opened[path]


def test_only_its_own_files_lie_around(told: dict[str, Any]) -> None:
    """Its tests, four files of names, its results, its devices."""
    tops = {name.split("/")[1] for name in told["names"]}
    assert tops <= {"recipe", "etc", "results", "dev", "tmp"}
    etc = {name for name in told["names"] if name.startswith("/etc/")}
    assert etc == {"/etc/ca.pem", "/etc/group", "/etc/hosts", "/etc/passwd"}
    assert sorted(n for n in told["names"] if n.startswith("/recipe/")) == [
        "/recipe/tests/asked.json",
        "/recipe/tests/test_own.py",
    ]


@pytest.mark.parametrize("way", ["loopback", "abstract", "docker", "shared memory"])
def test_no_other_service_of_the_host_is_reached(told: dict[str, Any], way: str) -> None:
    """Neither another port of loopback, nor a socket without a file, nor Docker's, nor memory."""
    assert told[way].startswith(REFUSED)


def test_the_host_s_other_addresses_are_not_reached(told: dict[str, Any]) -> None:
    """There is no interface but loopback."""
    assert told["outer"], "this host has no other address, so it proves nothing"
    assert {answer[: len(REFUSED)] for answer in told["outer"]} == {REFUSED}


def test_it_writes_nowhere_but_in_its_tmp(told: dict[str, Any]) -> None:
    """Not even into its own tests."""
    assert {answer[: len(REFUSED)] for answer in told["writes"].values()} == {REFUSED}
    assert all(told["read-only"].values()), "whoever owns it"


@pytest.mark.parametrize(
    "way",
    ["user namespace", "network namespace", "mount", "raise limit"],
)
def test_no_right_can_be_gained(told: dict[str, Any], way: str) -> None:
    """No namespace in which it would be root, no mount, no limit raised."""
    assert told[way].startswith(REFUSED)
