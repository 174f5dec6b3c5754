"""The last look into a run's directory: what a file of any kind holds is found, and none is kept."""

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
from tests.support.secret_encodings import (
    DRESSES,
    PLAIN,
    TRICKY,
    as_bytes,
    flagged,
    knowing,
    tarred,
    zipped,
)


@pytest.mark.parametrize("dress", DRESSES)
def test_the_scan_finds_and_masks_what_a_file_holds(dress: str, tmp_path: Path) -> None:
    """A file with a secret is named and masked in place, for whoever has it open."""
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir()
    path.write_bytes(b"x" * 5000 + as_bytes(dress, DRESSES[dress](TRICKY)) + b"y" * 5000)
    (tmp_path / "clean.txt").write_text("nothing here")
    inode, masked = path.stat().st_ino, knowing(TRICKY).mask(path.read_bytes())
    (found,) = secret_scan.scan(tmp_path, knowing(TRICKY))
    assert (found.path, found.why) == ("logs/app.log", "masked")
    assert not knowing(TRICKY).leaks(masked)
    assert (path.read_bytes(), path.stat().st_ino) == (masked, inode)
    assert secret_scan.scan(tmp_path, knowing(TRICKY)) == ()


def test_a_secret_between_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read in pieces; what lies across the border of two is seen."""
    monkeypatch.setattr(archives, "CHUNK", 1024)
    for start in range(1024 - len(PLAIN), 1025):
        (tmp_path / f"{start}.log").write_text("x" * start + PLAIN + "y" * 3000)
    found = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert len(found) == len(PLAIN) + 1


@pytest.mark.parametrize("dress", ["json-twice", "url-twice", "xml", "base64-in-indented-lines"])
def test_a_dress_between_two_pieces_is_found(
    dress: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is longer than the value, wherever the border cuts it."""
    monkeypatch.setattr(archives, "CHUNK", 8192)
    data = DRESSES[dress](TRICKY).encode()
    for inside in range(1, len(data), 9):
        (tmp_path / f"{inside}.log").write_bytes(b"." * (8192 - inside) + data + b"." * 100)
    assert len(secret_scan.scan(tmp_path, knowing(TRICKY))) == len(range(1, len(data), 9))


def test_a_long_key_in_lines_between_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ends and indents of its many lines make it longer than the longest pattern of it."""
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
def test_an_archive_with_a_secret_is_not_kept(kind: str, tmp_path: Path) -> None:
    """Archives are looked into, also within each other; a clean one stays as it is."""
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
        (flagged(zipped("a", b"b" * 50), 8, 1), "encrypted"),
        (flagged(zipped("a", b"b" * 50), 10, 99), "compression"),
        (gzip.compress(b"b" * 50)[:-8] + bytes(8), "CRC"),
        (gzip.compress(os.urandom(50))[:10] + b"\xff" * 50, "invalid block type"),
        (lzma.compress(os.urandom(50))[:24] + bytes(60), "broken archive"),
        (bytes(257) + b"ustar" + bytes(250), "cannot be scanned"),
    ],
    ids=[
        *(
            "torn gz",
            "torn zip",
            "endless gz",
            "endless zip",
            "many in zip",
            "too deep",
            "encrypted",
        ),
        *("unknown packing", "wrong sum", "broken gz", "broken xz", "broken tar"),
    ],
)
def test_what_nobody_can_look_into_is_not_kept(
    data: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken or endless archive could hold anything, so it goes, and is named."""
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1_000_000)
    (tmp_path / "closed").write_bytes(data)
    (found,) = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert found.path == "closed" and why in found.why
    assert not (tmp_path / "closed").exists()


def test_an_endless_archive_is_left_where_it_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not unpacked to its end first: it may have none."""

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


def test_links_and_pipes_are_not_kept(tmp_path: Path) -> None:
    """What is no ordinary file would be read elsewhere, or for ever."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.write_text(PLAIN)
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = secret_scan.scan(folder, knowing(PLAIN))
    assert sorted(item.path for item in found) == ["folder", "link", "pipe"]
    assert list(folder.iterdir()) == [] and elsewhere.read_text() == PLAIN


def test_a_name_is_looked_at_too(tmp_path: Path) -> None:
    """A secret in a file's name is no better; the finding does not repeat it."""
    (tmp_path / f"dump-{PLAIN}.sql").write_text("nothing")
    (found,) = secret_scan.scan(tmp_path, knowing(PLAIN))
    assert found.path == f"dump-{MASK}.sql" and list(tmp_path.iterdir()) == []


def test_abras_own_data_is_no_part_of_what_is_kept(tmp_path: Path) -> None:
    """A kept app's env file is there on purpose, in a folder that its run's end removes."""
    (tmp_path / "abra").mkdir()
    (tmp_path / "abra" / "app.env").write_text(PLAIN)
    assert secret_scan.scan(tmp_path, knowing(PLAIN)) == ()
    assert (tmp_path / "abra" / "app.env").read_text() == PLAIN


def test_a_folder_that_is_called_like_abras_is_looked_into(tmp_path: Path) -> None:
    """Only the one at the top is left out, so that nothing can be hidden in another."""
    (tmp_path / "logs" / "abra").mkdir(parents=True)
    (tmp_path / "logs" / "abra" / "x").write_text(PLAIN)
    assert [found.path for found in secret_scan.scan(tmp_path, knowing(PLAIN))] == ["logs/abra/x"]


def test_a_link_is_not_kept_under_a_known_name_either(tmp_path: Path) -> None:
    """What a dead run left may be called like its report and lead elsewhere."""
    (tmp_path / "report.json").symlink_to("/etc/passwd")
    (tmp_path / "events.jsonl").write_text("")
    assert secret_scan.keep_only(tmp_path, {"report.json", "events.jsonl"}) == ("report.json",)
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]
