"""Contents of archives, unpacked within limits: gzip, bzip2, xz, zip and tar."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any

CHUNK = 16 * 1024 * 1024  # bytes read at a time
MAX_UNPACKED = 1024 * 1024 * 1024  # bytes that one file may unpack to
MAX_NESTING = 4  # archives within archives
COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
ZIP = b"PK\x03\x04"
HEAD_SIZE = 6  # bytes; the longest of these signatures
BROKEN: tuple[type[Exception], ...] = (
    *(EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, tarfile.TarError),
    RuntimeError,  # encrypted, or an unknown compression
)


class CannotUnpack(Exception):
    """An archive is broken, nested too deeply, or unpacks to too much."""


UNREADABLE: tuple[type[Exception], ...] = (CannotUnpack, *BROKEN)


class _Budget:
    """Bytes that may still be unpacked."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise CannotUnpack(f"unpacks to more than {MAX_UNPACKED >> 20} MiB")


def is_archive(path: Path) -> bool:
    """Return True if a file is an archive of a known kind."""
    with path.open("rb") as file:
        return file.read(HEAD_SIZE).startswith((*COMPRESSED, ZIP)) or _is_tar(file)


def walk(file: IO[bytes]) -> Generator[IO[bytes], None, None]:
    """Yield a file and, if it is an archive, all files packed in it at any depth.

    Raises:
        UNREADABLE: an archive is broken, or exceeds a limit.
    """
    yield from _walk(file, MAX_NESTING, _Budget(MAX_UNPACKED))


def _walk(file: IO[bytes], nesting: int, budget: _Budget) -> Iterator[IO[bytes]]:
    yield file
    file.seek(0)
    for part in _parts(file):
        if not nesting:
            raise CannotUnpack(f"more than {MAX_NESTING} archives within each other")
        with part, tempfile.TemporaryFile() as unpacked:
            _unpack(part, unpacked, budget)
            yield from _walk(unpacked, nesting - 1, budget)


def _unpack(part: IO[bytes], unpacked: IO[bytes], budget: _Budget) -> None:
    try:
        while chunk := part.read(CHUNK):
            budget.take(len(chunk))
            unpacked.write(chunk)
    except BROKEN as error:
        raise CannotUnpack(f"broken archive: {error}") from error
    unpacked.seek(0)


def _parts(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the files packed in a file; none unless it is an archive of a known kind."""
    head = file.read(HEAD_SIZE)
    file.seek(0)
    for signature, opened in COMPRESSED.items():
        if head.startswith(signature):
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
    """Return True if a file is a tar archive, by the signature in its first block."""
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
