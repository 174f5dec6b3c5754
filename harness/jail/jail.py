"""A jail for programs that nobody of ours wrote: bubblewrap around them, nothing of the host in it.

A program in it is a user whom nobody else is, without groups or any right that could be gained; it
sees a root of its own, its own processes and its own loopback, on which one port leads to the proxy.
It dies with us, and everything it started with it. What it may use is bounded, for all of its
processes together.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import certifi
from packaging.requirements import Requirement

from harness.errors import InfraError
from harness.host import cgroup, proc
from harness.host.cgroup import Bounds

TOOLS = {
    "bwrap": "bubblewrap",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
ROOM = Path("/run/cc-ci-jails")  # root's alone to write; a folder for each process that has a jail
RELAY = Path(__file__).with_name("relay.py")
FIRST_UID = 1_900_000_000  # above all that Debian or systemd hand out; ours plus our process id
MIB = 1024 * 1024
BOUNDS = Bounds(memory=512 * MIB, processes=64, processors=1.0)
MOST_TMP = 64 * MIB  # bytes below /tmp; counted as memory, too
MOST_SHM = 16 * MIB
MOST_FILE = 32 * MIB  # bytes of one file
MOST_OPEN = 256  # files
KEPT_OUTPUT = 128 * 1024  # last bytes of each stream
KEPT_RESULTS = 2 * MIB  # first bytes of the file of results
PACKAGES = ("pytest", "requests")
PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
PLACE = "/recipe"
RESULTS = "/results"
CA = "/etc/ca.pem"
CHECK_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Left:
    """What a program left: exit status (None when its time was up), its last words, its results.

    Nothing of it may be believed but the status, and that only when it is not 0.
    """

    exit_code: int | None
    output: str
    results: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class App:
    """What may be reached from a jail: an app by its domain, through the proxy at this address.

    ca_file: who vouches for its certificate; the public authorities when left out.
    """

    domain: str
    proxy: tuple[str, int]
    ca_file: Path | None = None


def lacks() -> str:
    """Return what is missing for a jail on this host, with what fixes it, or ""."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"'{tool}' is missing; run `apt-get install {package}`, or `make setup`"
    if os.geteuid() != 0:
        return "only root can give up all rights for a jail; run as root"
    return ""


def check() -> None:
    """Prove by a program that does nothing that a jail can be had.

    Raises:
        InfraError: it cannot, says why.
    """
    with _room() as folder:
        left = _run(folder, App("app.invalid", ("127.0.0.1", 9)), ["true"], CHECK_TIMEOUT)
    if left.exit_code != 0:
        said = " ".join(left.output.split()) or "nothing"
        raise InfraError(f"no jail can be had here: status {left.exit_code}, said: {said[-400:]}")


def run_tests(
    tests: Path,
    app: App,
    *,
    seconds: float,
    progress: Callable[[str], None] = lambda line: None,
) -> Left:
    """Run pytest over a folder of tests in a jail, against one app.

    seconds: how long it may take; then everything in the jail is ended.

    Raises:
        InfraError: no jail is to be had.
    """
    with _room() as folder:
        target = folder / "recipe" / tests.name
        shutil.copytree(tests, target, symlinks=True)
        packages = _packages(folder / "site")
        # Without `site`: what else is installed on the host is none of its business.
        words = [str(_python()), "-S", "-m", "pytest", tests.name, "--rootdir", PLACE]
        words += [f"--junitxml={RESULTS}", "-p", "no:cacheprovider", "--color=no", "--tb=short"]
        left = _run(folder, app, words, seconds, progress, packages)
    if left.exit_code not in (0, None) and not left.results:
        check()  # it said nothing at all: was there a jail?
    return left


def _python() -> Path:
    """Return an interpreter among the host's programs: ours, or Debian's where ours lies elsewhere.

    Raises:
        InfraError: there is none of our version.
    """
    ours = Path(sys.executable).resolve()
    if any(ours.is_relative_to(name) for name in PROGRAMS):
        return ours
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path="/usr/bin:/bin")
    if found is None:
        raise InfraError(
            f"our Python, '{ours}', is not among the host's programs, and there is no {version} "
            f"in /usr/bin: run `apt-get install {version}`"
        )
    return Path(found)


# %% What is in it


@contextlib.contextmanager
def _room() -> Iterator[Path]:
    """Make this process's folder, which the jail's user may read; forget those of the dead.

    Raises:
        InfraError: something is missing on this host.
    """
    missing = lacks()
    if missing:
        raise InfraError(f"no jail can be had here: {missing}")
    ROOM.mkdir(exist_ok=True)
    ROOM.chmod(0o755)
    for other in ROOM.iterdir():
        if not Path("/proc", other.name).exists():
            _clear(other)
    folder = ROOM / str(os.getpid())
    _clear(folder)
    if folder.exists():
        raise InfraError(f"something is mounted below '{folder}', which a jail needs; unmount it")
    for part in (folder, folder / "site", folder / "recipe", folder / "etc"):
        part.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        _clear(folder)


def _clear(folder: Path) -> None:
    """Remove a jail's folder, unless something is mounted in it: that would be emptied with it.

    A jail's mounts are in a namespace of its own and end with it; should they ever be the host's, its
    Python packages are behind them.
    """
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    if not any(Path(place).is_relative_to(folder) for place in mounted):
        shutil.rmtree(folder, ignore_errors=True)


def _packages(target: Path) -> list[tuple[str, str]]:
    """Return the mounts of pytest and requests with all that they need, as they are installed here.

    They may lie where the jail's user cannot come; what they are mounted on is made.
    """
    mounts: dict[str, str] = {}
    for distribution in _with_needs(PACKAGES):
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        for name in sorted(tops):
            source, place = Path(str(distribution.locate_file(name))), target / name
            if source.is_dir():
                place.mkdir(exist_ok=True)
            else:
                place.touch()
            mounts[str(source)] = str(place)
    return list(mounts.items())


def _with_needs(names: Sequence[str]) -> list[metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        needs = [Requirement(text) for text in found[name].requires or ()]
        queue += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
    return list(found.values())


def _let_read(folder: Path) -> None:
    """Let everybody read what lies in a folder, whatever the modes it came with."""
    for place, _, files in os.walk(folder):
        Path(place).chmod(0o755)
        for name in files:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o644)


def _write_etc(folder: Path, app: App, uid: int) -> None:
    name = f"127.0.0.1 localhost {app.domain}\n"
    (folder / "hosts").write_text(name)
    (folder / "passwd").write_text(f"nobody:x:{uid}:{uid}::/tmp:/usr/sbin/nologin\n")
    (folder / "group").write_text(f"nogroup:x:{uid}:\n")
    shutil.copyfile(app.ca_file or certifi.where(), folder / "ca.pem")


# %% Running


def _run(
    folder: Path,
    app: App,
    command: Sequence[str],
    seconds: float,
    progress: Callable[[str], None] = lambda line: None,
    mounts: Sequence[tuple[str, str]] = (),
) -> Left:
    uid = FIRST_UID + os.getpid()
    _write_etc(folder / "etc", app, uid)
    way = folder / RELAY.name  # the relay, too, is a stranger to our checkout
    shutil.copyfile(RELAY, way)
    (folder / "mounts").write_text(json.dumps(mounts))
    _let_read(folder)
    results = folder / "results"
    results.touch(mode=0o600)
    os.chown(results, uid, uid)
    outside = {key: os.environ[key] for key in ("PATH", "CCCI_RUN") if key in os.environ}
    with cgroup.group(BOUNDS) as groups:
        words = [
            *_network(way, app, uid, groups),
            *_nobody(uid),
            *_bubble(folder, app),
            "--",
            *command,
        ]
        try:
            done = proc.run(
                words,
                timeout=seconds,
                env=outside,
                cwd=Path("/"),
                check=False,
                progress=progress,
                shown="the jail",
                newest=KEPT_OUTPUT,
            )
            exit_code, output, took = done.exit_code, done.text, done.seconds
        except proc.RanTooLong as late:
            exit_code, output, took = None, late.output, seconds
    with results.open("rb") as file:
        return Left(exit_code, output, file.read(KEPT_RESULTS), took)


def _network(way: Path, app: App, uid: int, groups: Sequence[Path]) -> list[str]:
    """Return the start of the command: network and mounts of its own, the one way out; see `way`."""
    host, port = app.proxy
    ours = f"/proc/{os.getpid()}/ns/net"
    files = ":".join(map(str, groups))
    start = ["setpriv", "--pdeathsig=KILL", "--", "unshare", "--net", "--mount", "--"]
    program = [str(_python()), "-I", str(way), ours, host, str(port), str(uid), files]
    return [*start, *program, str(way.with_name("mounts")), "--"]


def _nobody(uid: int) -> list[str]:
    """Return the part of the command that gives up every right and every group."""
    limits = [f"--fsize={MOST_FILE}", f"--nofile={MOST_OPEN}", "--core=0"]
    who = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    rights = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    return ["prlimit", *limits, "--", "setpriv", *who, *rights, "--"]


def _bubble(folder: Path, app: App) -> list[str]:
    """Return the part of the command that makes the jail's own world."""
    words = ["bwrap", "--die-with-parent", "--new-session", "--unshare-user", "--disable-userns"]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", "recipe", *_programs(), "--proc", "/proc", "--dev", "/dev"]
    words += ["--size", str(MOST_SHM), "--tmpfs", "/dev/shm"]  # noqa: S108 - of the jail
    words += ["--size", str(MOST_TMP), "--tmpfs", "/tmp"]  # noqa: S108 - of the jail
    for name in ("etc", "site", "recipe"):
        words += ["--ro-bind", str(folder / name), f"/{name}"]
    words += ["--bind", str(folder / "results"), RESULTS, "--chdir", PLACE]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--clearenv"]
    for key, value in _environment(app).items():
        words += ["--setenv", key, value]
    return words


def _programs() -> list[str]:
    """Return the mounts of the host's programs and libraries, read-only, where they are there."""
    words: list[str] = []
    for name in PROGRAMS:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    return words


def _environment(app: App) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - of the jail
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        "APP_DOMAIN": app.domain,
        "APP_URL": f"https://{app.domain}",
        "SSL_CERT_FILE": CA,
        "REQUESTS_CA_BUNDLE": CA,
    }
