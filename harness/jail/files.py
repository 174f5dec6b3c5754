"""The files of a jail: a folder on the host that becomes parts of the jail's root directory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import certifi
from packaging.requirements import Requirement

from harness.errors import InfraError

JAILS_DIR = Path("/run/cc-ci-jails")  # only root may write; one folder for each process with a jail
PACKAGES = ("pytest", "requests")


@contextlib.contextmanager
def jail_dir() -> Iterator[Path]:
    """Make this process's folder for the duration of a `with` block; remove the folders of dead processes.

    Raises:
        InfraError: something is mounted in the folder.
    """
    JAILS_DIR.mkdir(exist_ok=True)
    JAILS_DIR.chmod(0o755)
    for other in JAILS_DIR.iterdir():
        if not Path("/proc", other.name).exists():
            _clear(other)
    folder = JAILS_DIR / str(os.getpid())
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
    """Remove a jail's folder unless something is mounted in it, which would be deleted as well.

    A jail's mounts are in its own mount namespace and go away with it. If they ever appear on the host,
    they lead to the host's Python packages.
    """
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    if not any(Path(target).is_relative_to(folder) for target in mounted):
        shutil.rmtree(folder, ignore_errors=True)


def package_mounts(site: Path) -> list[tuple[str, str]]:
    """Return bind mounts (source, target) of pytest, requests and everything that they need.

    The packages are mounted because the jail's user may not be able to reach where they are installed.
    Mount points are made here.
    """
    mounts: dict[str, str] = {}
    for distribution in _with_requirements(PACKAGES):
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        for name in sorted(tops):
            source, target = Path(str(distribution.locate_file(name))), site / name
            if source.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.touch()
            mounts[str(source)] = str(target)
    return list(mounts.items())


def _with_requirements(names: Sequence[str]) -> list[metadata.Distribution]:
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


def prepare(
    folder: Path,
    domain: str,
    ca_file: Path | None,
    uid: int,
    mounts: Sequence[tuple[str, str]],
) -> Path:
    """Write the jail's `/etc`, its list of mounts and an empty results file; return the path of that file.

    Args:
        folder: the folder made by `jail_dir`.
        domain: the app's domain, which resolves to loopback in the jail.
        ca_file: CA bundle; certifi's if None.
        uid: the jail's user, who may write only the results file.
        mounts: pairs of source and target for the relay script to mount.
    """
    _write_etc(folder / "etc", domain, ca_file, uid)
    (folder / "mounts").write_text(json.dumps(mounts))
    _make_readable(folder)
    results = folder / "results"
    results.touch(mode=0o600)
    os.chown(results, uid, uid)
    return results


def _write_etc(folder: Path, domain: str, ca_file: Path | None, uid: int) -> None:
    (folder / "hosts").write_text(f"127.0.0.1 localhost {domain}\n")
    (folder / "passwd").write_text(f"nobody:x:{uid}:{uid}::/tmp:/usr/sbin/nologin\n")
    (folder / "group").write_text(f"nogroup:x:{uid}:\n")
    shutil.copyfile(ca_file or certifi.where(), folder / "ca.pem")


def _make_readable(folder: Path) -> None:
    """Let everybody read all files in a folder, whatever modes they had in the checkout."""
    for path, _, names in os.walk(folder):
        Path(path).chmod(0o755)
        for name in names:
            file = Path(path, name)
            if not file.is_symlink():
                file.chmod(0o644)
