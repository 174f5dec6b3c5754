"""The last look at a run's directory: no secret of the run stands in any file that is kept.

What is found is masked where it stands. What nobody can look into is not kept: a broken or endless
archive, a link, a pipe; nor is an archive that holds a secret, since it cannot be masked in place.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.secret import Redactor

PIECE = 16 * 1024 * 1024  # bytes read at once
MOST_UNPACKED = 1024 * 1024 * 1024  # bytes looked at in one file; what unpacks to more is not kept
DEEPEST = 4  # archives within archives
WORKPLACE = "abra"  # the run's own data of abra, which nobody else may read and its end removes
PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
ZIP = b"PK\x03\x04"
BROKEN: tuple[type[Exception], ...] = (
    *(EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, tarfile.TarError),
    RuntimeError,  # encrypted, or packed in a way that is not known here
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A file of the run's directory that could not stay as it was, and why; never with a value."""

    path: str
    why: str

    def __str__(self) -> str:
        """Tell it in a few words."""
        return f"{self.path} ({self.why})"


class _Unreadable(Exception):
    """Something that cannot be looked into."""


CLOSED: tuple[type[Exception], ...] = (_Unreadable, *BROKEN)


def scan(folder: Path, redactor: Redactor, names: Collection[str] = ()) -> tuple[Finding, ...]:
    """Look into every file of a run's directory but abra's own; mask or remove what holds a secret.

    A file stays the same file, so that whoever writes to it goes on. names: only files of these names.
    """
    chosen = [path for path in _files(folder) if not names or path.name in names]
    found = [_finding(folder, path, redactor) for path in chosen]
    return tuple(item for item in found if item is not None)


def keep_only(folder: Path, known: Collection[str]) -> tuple[str, ...]:
    """Remove the files whose paths within the folder are not known, and all links; return their paths."""
    gone = []
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if path.is_symlink() or name not in known:
            path.unlink()
            gone.append(name)
    return tuple(gone)


def _files(folder: Path) -> list[Path]:
    """Return everything below the folder that is no folder, abra's own left out; links unfollowed."""
    found = []
    for root, folders, names in os.walk(folder):
        here = Path(root)
        if here == folder and WORKPLACE in folders:
            folders.remove(WORKPLACE)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in (*names, *links)]
    return sorted(found)


def _finding(folder: Path, path: Path, redactor: Redactor) -> Finding | None:
    name = redactor.scrub(str(path.relative_to(folder)))
    if not stat.S_ISREG(path.lstat().st_mode):
        path.unlink()
        return Finding(name, "no ordinary file, removed")
    if name != str(path.relative_to(folder)):
        path.unlink()
        return Finding(name, "its name held a secret, removed")
    try:
        with path.open("rb") as file:
            leaks = _leaks(file, redactor, DEEPEST, [MOST_UNPACKED])
    except CLOSED as error:
        path.unlink()
        return Finding(name, f"nobody can look into it ({error}), removed")
    if not leaks:
        return None
    if _is_archive(path):
        path.unlink()
        return Finding(name, "an archive that held a secret, removed")
    _mask(path, redactor)
    return Finding(name, "masked")


def _mask(path: Path, redactor: Redactor) -> None:
    """Mask a file in place: it stays the same file for whoever has it open."""
    masked = redactor.mask(path.read_bytes())
    with path.open("r+b") as file:
        file.write(masked)
        file.truncate()


def _leaks(file: IO[bytes], redactor: Redactor, deep: int, room: list[int]) -> bool:
    """Say whether a file holds a secret, plainly or in an archive.

    deep: how many archives within each other are opened. room: bytes that may still be unpacked.

    Raises:
        _Unreadable: a broken archive, or one too deep or too big.
    """
    if any(redactor.leaks(piece) for piece in _pieces(file, redactor.longest)):
        return True
    file.seek(0)
    for part in _parts(file):
        if not deep:
            raise _Unreadable(f"more than {DEEPEST} archives within each other")
        with part, tempfile.TemporaryFile() as whole:
            _unpack(part, whole, room)
            if _leaks(whole, redactor, deep - 1, room):
                return True
    return False


def _pieces(file: IO[bytes], overlap: int) -> Iterator[bytes]:
    """Yield a file in pieces that overlap, so that nothing lies between two of them."""
    rest = b""
    while piece := file.read(PIECE):
        yield rest + piece
        rest = piece[-overlap:] if overlap else b""


def _unpack(part: IO[bytes], whole: IO[bytes], room: list[int]) -> None:
    try:
        while piece := part.read(PIECE):
            room[0] -= len(piece)
            if room[0] < 0:
                break
            whole.write(piece)
    except BROKEN as error:
        raise _Unreadable(f"broken archive: {error}") from error
    if room[0] < 0:
        raise _Unreadable(f"it unpacks to more than {MOST_UNPACKED >> 20} MiB")
    whole.seek(0)


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith((*PACKED, ZIP)) or _is_tar(file)


def _parts(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield what is packed in a file: nothing unless it is an archive of a kind known here."""
    head = file.read(6)
    file.seek(0)
    for magic, opened in PACKED.items():
        if head.startswith(magic):
            yield opened(file)
    if head.startswith(ZIP):
        yield from _zipped(file)
    elif _is_tar(file):
        yield from _tarred(file)


def _zipped(file: IO[bytes]) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(file) as archive:
        for item in archive.infolist():
            yield archive.open(item)


def _is_tar(file: IO[bytes]) -> bool:
    """Say whether a file is a tar archive, by the mark in its first block."""
    file.seek(0)
    block = file.read(512)
    file.seek(0)
    return block[257:262] == b"ustar"


def _tarred(file: IO[bytes]) -> Iterator[IO[bytes]]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            part = archive.extractfile(member) if member.isreg() else None
            if part is not None:
                yield part
