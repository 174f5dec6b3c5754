"""A suite that looks around in its jail and tells all that it finds; it runs there, not here."""

import ctypes
import json
import os
import platform
import resource
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET, PTRACE_ATTACH = 0x10000000, 0x40000000, 16
KEYCTL = {"x86_64": 250, "aarch64": 219}[platform.machine()]  # linux/unistd.h
KEYCTL_SEARCH, KEYCTL_READ, SESSION = 10, 11, -3  # linux/keyctl.h
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
FOLDERS = [
    "/",
    "/etc",
    "/usr",
    "/usr/local/bin",
    "/recipe",
    "/recipe/tests",
    "/site",
    "/site/pytest",
    "/dev",
]


def tries(what: Callable[[], object]) -> str:
    """Return what an attempt gave, or how it failed."""
    try:
        return repr(what())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"refused: {type(error).__name__}"


def connects(kind: int, address: object) -> None:
    """Connect to a socket."""
    with socket.socket(kind, socket.SOCK_STREAM) as caller:
        caller.settimeout(2)
        caller.connect(address)


def status() -> dict[str, str]:
    """Return what the kernel says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def processes() -> list[Path]:
    """Return the folders of all processes that can be seen."""
    return list(Path("/proc").glob("[0-9]*"))


def look_into(path: str) -> object:
    """Return what a folder or a file holds."""
    return os.listdir(path) if os.path.isdir(path) else Path(path).read_bytes()[:100]


def names() -> list[str]:
    """Return every file's name outside of the kernel's and the programs' folders."""
    found = []
    for place, folders, files in os.walk("/"):
        folders[:] = [
            f for f in folders if os.path.join(place, f) not in ("/proc", "/usr", "/site")
        ]
        found += [os.path.join(place, f) for f in files]
    return found


def asks_the_app() -> bytes:
    """Return what the app answers."""
    url = f"http://{os.environ['APP_DOMAIN']}:443/"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def calls(name: str, *arguments: object) -> None:
    """Call the C library."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def leads_to(descriptor: str) -> str:
    """Return what an open descriptor leads to."""
    return tries(lambda: os.readlink(f"/proc/self/fd/{descriptor}"))


def reads_a_key(name: str) -> bytes:
    """Return a key of the kernel's that this process was given by its parents."""
    library, text = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(100)
    key = library.syscall(KEYCTL, KEYCTL_SEARCH, SESSION, b"user", name.encode(), 0)
    if key < 0 or library.syscall(KEYCTL, KEYCTL_READ, key, text, 100) < 0:
        raise OSError(ctypes.get_errno(), "keyctl")
    return text.value


def shares_memory(key: int) -> None:
    """Take hold of a piece of memory that the host's processes share."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.shmget(key, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "shmget")


def test_look_around() -> None:
    """Tell everything, then fail, so that it is shown."""
    asked = json.loads(Path(__file__).with_name("asked.json").read_text())
    port = asked["port"]
    told = {
        "environ": dict(os.environ),
        "environments": {p.name: tries((p / "environ").read_bytes) for p in processes()},
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},
        "name": platform.node(),
        "read-only": {place: bool(os.statvfs(place).f_flag & os.ST_RDONLY) for place in FOLDERS},
        "limits": [
            resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
        ],
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups()],
        "session": os.getsid(0),
        "status": status(),
        "files": {path: tries(lambda: look_into(path)) for path in asked["paths"]},  # noqa: B023
        "names": names(),
        "descriptors": [leads_to(number) for number in os.listdir("/proc/self/fd")],
        "shared memory": tries(lambda: shares_memory(asked["memory"])),
        "key": tries(lambda: reads_a_key(asked["key"])),
        "app": tries(asks_the_app),
        "loopback": tries(lambda: connects(socket.AF_INET, ("127.0.0.1", port))),
        "outer": [
            tries(lambda: connects(socket.AF_INET, (address, port)))  # noqa: B023
            for address in asked["addresses"]
        ],
        "abstract": tries(lambda: connects(socket.AF_UNIX, f"\0{asked['abstract']}")),
        "docker": tries(lambda: connects(socket.AF_UNIX, "/var/run/docker.sock")),
        "writes": {d: tries(lambda: Path(d, "x").touch()) for d in FOLDERS},  # noqa: B023
        "processes": sorted(int(p.name) for p in processes()),
        "user namespace": tries(lambda: calls("unshare", CLONE_NEWUSER)),
        "network namespace": tries(lambda: calls("unshare", CLONE_NEWNET)),
        "mount": tries(lambda: calls("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
        "setuid": tries(lambda: os.setuid(0)),
        "raise limit": tries(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))),
    }
    print("TOLD " + json.dumps(told))  # noqa: T201 - what it is for
    raise AssertionError
