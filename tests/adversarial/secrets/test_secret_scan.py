"""The secret scan of a run's directory: secrets in any kind of file are found and masked or removed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.reporting import archives, secret_scan
from harness.secret import MASK
from tests.adversarial.secrets.secret_encodings import (
    ENCODINGS,
    PLAIN,
    TRICKY,
    as_bytes,
    knowing,
    tarred,
    with_header_byte,
    zipped,
)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_secret_in_a_file_is_reported_and_masked_in_place(encoding: str, tmp_path: Path) -> None:
    """The inode stays, because another process may have the file open."""
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir()
    path.write_bytes(b"x" * 5000 + as_bytes(encoding, ENCODINGS[encoding](TRICKY)) + b"y" * 5000)
    (tmp_path / "clean.txt").write_text("nothing here")
    inode, masked = path.stat().st_ino, knowing(TRICKY).mask(path.read_bytes())
    (found,) = secret_scan.scan(tmp_path, knowing(TRICKY))
    assert (found.path, found.why) == ("logs/app.log", "masked")
    assert not knowing(TRICKY).leaks(masked)
    assert (path.read_bytes(), path.stat().st_ino) == (masked, inode)
    assert secret_scan.scan(tmp_path, knowing(TRICKY)) == ()


def test_a_secret_across_two_blocks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read in blocks."""
    monkeypatch.setattr(archives, "CHUNK", 1024)
    for start in range(1024 - len(PLAIN), 1025):
        (tmp_path / f"{start}.log").write_text("x" * start + PLAIN + "y" * 3000)
    found = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert len(found) == len(PLAIN) + 1


@pytest.mark.parametrize("encoding", ["json-twice", "url-twice", "xml", "base64-in-indented-lines"])
def test_an_encoding_across_two_blocks_is_found(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some encodings are longer than the value."""
    monkeypatch.setattr(archives, "CHUNK", 8192)
    data = ENCODINGS[encoding](TRICKY).encode()
    for inside in range(1, len(data), 9):
        (tmp_path / f"{inside}.log").write_bytes(b"." * (8192 - inside) + data + b"." * 100)
    assert len(secret_scan.scan(tmp_path, knowing(TRICKY))) == len(range(1, len(data), 9))


def test_a_long_wrapped_key_across_two_blocks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its line breaks and indents make it longer than its longest pattern."""
    piece, key = 64 * 1024, "".join(f"{number:x}g" for number in range(800))
    monkeypatch.setattr(archives, "CHUNK", piece)
    lines = textwrap.wrap("".join(f"%{byte:02x}" for byte in key.encode()), 76)
    data = textwrap.indent("\n".join(lines), " " * 80).encode()
    (tmp_path / "values.yml").write_bytes(b"." * (piece - len(data) + 2) + data)
    assert [found.why for found in secret_scan.scan(tmp_path, knowing(key))] == ["masked"]


ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped("trace.txt", data),
    "tar": lambda data: tarred("trace.txt", data, mode="w"),
    "second in zip": lambda data: zipped("trace.txt", b"nothing", data),
    "second in tar": lambda data: tarred("trace.txt", b"nothing", gzip.compress(data), mode="w"),
    "tar.gz": lambda data: tarred("trace.txt", data),
    "zip in tar.gz": lambda data: tarred("trace.zip", zipped("a", data)),
    "gz in gz": lambda data: gzip.compress(gzip.compress(data)),
    "gz in tar": lambda data: tarred("trace.gz", gzip.compress(data), mode="w"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_with_a_secret_is_removed(kind: str, tmp_path: Path) -> None:
    """Archives inside of archives too; an archive without a secret is kept."""
    noise = bytes(range(256)) * 40
    (tmp_path / "bad").write_bytes(ARCHIVES[kind](noise + PLAIN.encode() + noise))
    (tmp_path / "good").write_bytes(ARCHIVES[kind](noise))
    (found,) = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert found.path == "bad" and "archive with a secret" in found.why
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(os.urandom(5000))[:-900], "broken archive"),
        (zipped("a", b"b" * 50)[:-30], "not a zip file"),
        (gzip.compress(bytes(3_000_000)), "unpacks to more than"),
        (zipped("a", bytes(3_000_000)), "unpacks to more than"),
        (zipped("a", *[bytes(400_000)] * 3), "unpacks to more than"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x"))))), "within"),
        (with_header_byte(zipped("a", b"b" * 50), 8, 1), "encrypted"),
        (with_header_byte(zipped("a", b"b" * 50), 10, 99), "compression"),
        (gzip.compress(b"b" * 50)[:-8] + bytes(8), "CRC"),
        (gzip.compress(os.urandom(50))[:10] + b"\xff" * 50, "invalid block type"),
        (lzma.compress(os.urandom(50))[:24] + bytes(60), "broken archive"),
        (bytes(257) + b"ustar" + bytes(250), "cannot be scanned"),
    ],
    ids=[
        *(
            "truncated gz",
            "truncated zip",
            "endless gz",
            "endless zip",
            "many in zip",
            "too deep",
            "encrypted",
        ),
        *("unknown compression", "wrong checksum", "broken gz", "broken xz", "broken tar"),
    ],
)
def test_an_archive_that_cannot_be_read_is_removed(
    data: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken, encrypted or endless archive could contain a secret."""
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1_000_000)
    (tmp_path / "archive").write_bytes(data)
    (found,) = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert found.path == "archive" and why in found.why
    assert not (tmp_path / "archive").exists()


def test_unpacking_stops_at_the_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive may be endless."""

    class Endless(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            assert self.reads < 20
            return bytes(size or 0)

    monkeypatch.setattr(archives, "CHUNK", 1000)
    monkeypatch.setattr(archives, "MAX_UNPACKED", 10_000)
    monkeypatch.setitem(archives.COMPRESSED, b"\x1f\x8b", lambda file: Endless())
    (tmp_path / "x.gz").write_bytes(b"\x1f\x8b and more")
    (found,) = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert "unpacks to more than" in found.why


def test_links_and_pipes_are_removed(tmp_path: Path) -> None:
    """Reading them would read another file, or block forever."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.write_text(PLAIN)
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = secret_scan.scan(folder, knowing(PLAIN))
    assert sorted(item.path for item in found) == ["folder", "link", "pipe"]
    assert list(folder.iterdir()) == [] and elsewhere.read_text() == PLAIN


def test_a_file_with_a_secret_in_its_name_is_removed(tmp_path: Path) -> None:
    """The finding does not repeat the secret."""
    (tmp_path / f"dump-{PLAIN}.sql").write_text("nothing")
    (found,) = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert found.path == f"dump-{MASK}.sql" and list(tmp_path.iterdir()) == []


def test_abras_data_is_not_scanned(tmp_path: Path) -> None:
    """A kept app's env file has its secrets on purpose; the folder is removed at the end of the run."""
    (tmp_path / "abra").mkdir()
    (tmp_path / "abra" / "app.env").write_text(PLAIN)
    assert secret_scan.scan(tmp_path, knowing(PLAIN)) == ()
    assert (tmp_path / "abra" / "app.env").read_text() == PLAIN


def test_another_folder_named_abra_is_scanned(tmp_path: Path) -> None:
    """Only the one at the top is skipped, so nothing can be hidden in another one."""
    (tmp_path / "logs" / "abra").mkdir(parents=True)
    (tmp_path / "logs" / "abra" / "x").write_text(PLAIN)
    assert [found.path for found in secret_scan.scan(tmp_path, knowing(PLAIN))] == ["logs/abra/x"]


def test_a_link_with_the_name_of_a_report_is_removed(tmp_path: Path) -> None:
    (tmp_path / "report.json").symlink_to("/etc/passwd")
    (tmp_path / "events.jsonl").write_text("")
    assert secret_scan.keep_only(tmp_path, {"report.json", "events.jsonl"}) == ("report.json",)
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]
