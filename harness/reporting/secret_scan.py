"""Secret scan of a run directory: no file that is kept contains a secret of the run.

abra's folder is not scanned: only its user can read it, and it is removed at the end of the run. Secrets in
plain files are masked. Files that cannot be scanned (broken or huge archives, links, pipes) are removed, and
so are archives that contain a secret, since they cannot be masked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contract import run_files
from harness.reporting import archives
from harness.secret import Redactor


@dataclass(frozen=True, slots=True)
class Change:
    """A file that the scan masked or removed, and why; without the secret."""

    path: str
    why: str

    def __str__(self) -> str:
        """Return it in a few words."""
        return f"{self.path} ({self.why})"


def scan(folder: Path, redactor: Redactor, names: Collection[str] = ()) -> tuple[Change, ...]:
    """Scan all files of a run directory except abra's; mask or remove those with a secret.

    A masked file keeps its inode, so processes that have it open go on writing to it.

    Args:
        folder: the run directory.
        redactor: knows the secrets of the run.
        names: scan only files with these names; all if empty.
    """
    chosen = [path for path in _files(folder) if not names or path.name in names]
    changes = [_scan_file(folder, path, redactor) for path in chosen]
    return tuple(change for change in changes if change is not None)


def keep_only(folder: Path, known: Collection[str]) -> tuple[str, ...]:
    """Remove all links and all files except abra's and the known ones; return their paths.

    Args:
        folder: the run directory.
        known: paths within it.
    """
    removed = []
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if path.is_symlink() or name not in known:
            path.unlink()
            removed.append(name)
    return tuple(removed)


def _files(folder: Path) -> list[Path]:
    """Return everything below the folder that is not a folder, except abra's; links are not followed."""
    found = []
    for root, folders, names in os.walk(folder):
        here = Path(root)
        if here == folder and run_files.ABRA in folders:
            folders.remove(run_files.ABRA)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in (*names, *links)]
    return sorted(found)


def _scan_file(folder: Path, path: Path, redactor: Redactor) -> Change | None:
    name = redactor.scrub(str(path.relative_to(folder)))
    if not stat.S_ISREG(path.lstat().st_mode):
        return _remove(path, name, "not a regular file")
    if name != str(path.relative_to(folder)):
        return _remove(path, name, "secret in its name")
    try:
        found = _has_secret(path, redactor)
    except archives.UNREADABLE as error:
        return _remove(path, name, f"cannot be scanned: {error}")
    if not found:
        return None
    if archives.is_archive(path):
        return _remove(path, name, "archive with a secret")
    _mask(path, redactor)
    return Change(name, "masked")


def _remove(path: Path, name: str, why: str) -> Change:
    path.unlink()
    return Change(name, f"{why}, removed")


def _mask(path: Path, redactor: Redactor) -> None:
    masked = redactor.mask(path.read_bytes())
    with path.open("r+b") as file:
        file.write(masked)
        file.truncate()


def _has_secret(path: Path, redactor: Redactor) -> bool:
    """Return True if a file holds a secret, as it is or in an archive."""
    with path.open("rb") as file, closing(archives.walk(file)) as parts:
        return any(
            redactor.leaks(piece) for part in parts for piece in _pieces(part, redactor.max_length)
        )


def _pieces(file: IO[bytes], overlap: int) -> Iterator[bytes]:
    """Yield a file in pieces that overlap, so that no secret is split between two of them."""
    rest = b""
    while chunk := file.read(archives.CHUNK):
        yield rest + chunk
        rest = chunk[-overlap:] if overlap else b""
