"""A suite that reports everything that it finds in its jail; it runs there, not in our own session."""

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


def attempt(what: Callable[[], object]) -> str:
    """Return the result of a call, or how it failed."""
    try:
        return repr(what())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"refused: {type(error).__name__}"


def connect(kind: int, address: str | tuple[str, int]) -> None:
    """Connect to a socket."""
    with socket.socket(kind, socket.SOCK_STREAM) as caller:
        caller.settimeout(2)
        caller.connect(address)


def status() -> dict[str, str]:
    """Return the fields of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def processes() -> list[Path]:
    """Return the /proc folders of all visible processes."""
    return list(Path("/proc").glob("[0-9]*"))


def content_of(path: str) -> object:
    """Return the entries of a folder or the beginning of a file."""
    return os.listdir(path) if os.path.isdir(path) else Path(path).read_bytes()[:100]


def file_names() -> list[str]:
    """Return the names of all files outside /proc, /usr and /site."""
    found = []
    for parent, folders, files in os.walk("/"):
        folders[:] = [
            f for f in folders if os.path.join(parent, f) not in ("/proc", "/usr", "/site")
        ]
        found += [os.path.join(parent, f) for f in files]
    return found


def ask_app() -> bytes:
    """Return the app's answer."""
    url = f"http://{os.environ['APP_DOMAIN']}:443/"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns 0 for success."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def link_target(descriptor: str) -> str:
    """Return the target of an open file descriptor."""
    return attempt(lambda: os.readlink(f"/proc/self/fd/{descriptor}"))


def read_key(name: str) -> bytes:
    """Return the content of a key in this process's session keyring."""
    library, text = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(100)
    key = library.syscall(KEYCTL, KEYCTL_SEARCH, SESSION, b"user", name.encode(), 0)
    if key < 0 or library.syscall(KEYCTL, KEYCTL_READ, key, text, 100) < 0:
        raise OSError(ctypes.get_errno(), "keyctl")
    return text.value


def attach_memory(key: int) -> None:
    """Get shared memory of the host by its key."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.shmget(key, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "shmget")


def test_look_around() -> None:
    """Print everything, then fail, so that pytest shows it."""
    asked = json.loads(Path(__file__).with_name("asked.json").read_text())
    port = asked["port"]
    report = {
        "environ": dict(os.environ),
        "environments": {p.name: attempt((p / "environ").read_bytes) for p in processes()},
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},
        "name": platform.node(),
        "read-only": {path: bool(os.statvfs(path).f_flag & os.ST_RDONLY) for path in FOLDERS},
        "limits": [
            resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
        ],
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups()],
        "session": os.getsid(0),
        "status": status(),
        "files": {path: attempt(lambda: content_of(path)) for path in asked["paths"]},  # noqa: B023
        "names": file_names(),
        "descriptors": [link_target(number) for number in os.listdir("/proc/self/fd")],
        "shared memory": attempt(lambda: attach_memory(asked["memory"])),
        "key": attempt(lambda: read_key(asked["key"])),
        "app": attempt(ask_app),
        "loopback": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", port))),
        "outer": [
            attempt(lambda: connect(socket.AF_INET, (address, port)))  # noqa: B023
            for address in asked["addresses"]
        ],
        "abstract": attempt(lambda: connect(socket.AF_UNIX, f"\0{asked['abstract']}")),
        "docker": attempt(lambda: connect(socket.AF_UNIX, "/var/run/docker.sock")),
        "writes": {d: attempt(lambda: Path(d, "x").touch()) for d in FOLDERS},  # noqa: B023
        "processes": sorted(int(p.name) for p in processes()),
        "user namespace": attempt(lambda: call("unshare", CLONE_NEWUSER)),
        "network namespace": attempt(lambda: call("unshare", CLONE_NEWNET)),
        "mount": attempt(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
        "setuid": attempt(lambda: os.setuid(0)),
        "raise limit": attempt(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))),
    }
    print("REPORT " + json.dumps(report))  # noqa: T201 - the test reads it
    raise AssertionError
