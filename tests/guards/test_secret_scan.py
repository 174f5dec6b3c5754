"""The last look into a run's directory: what a file of any kind holds is found, and none is kept."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import leak
from harness.secret import MASK
from tests.guards.dresses import DRESSES, PLAIN, TRICKY, as_bytes, knowing, tarred, zipped


@pytest.mark.parametrize("dress", DRESSES)
def test_the_scan_finds_and_masks_what_a_file_holds(dress: str, tmp_path: Path) -> None:
    """A file with a secret is named and masked in place, for whoever has it open."""
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir()
    path.write_bytes(b"x" * 5000 + as_bytes(dress, DRESSES[dress](TRICKY)) + b"y" * 5000)
    (tmp_path / "clean.txt").write_text("nothing here")
    inode = path.stat().st_ino
    (found,) = leak.scan(tmp_path, knowing(TRICKY))
    assert (found.path, found.why) == ("logs/app.log", "masked")
    assert not knowing(TRICKY).leaks(path.read_bytes()) and path.stat().st_ino == inode
    assert leak.scan(tmp_path, knowing(TRICKY)) == ()


def test_a_secret_between_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read in pieces; what lies across the border of two is seen."""
    monkeypatch.setattr(leak, "PIECE", 1024)
    for start in range(1024 - len(PLAIN), 1025):
        (tmp_path / f"{start}.log").write_text("x" * start + PLAIN + "y" * 3000)
    found = leak.scan(tmp_path, knowing(PLAIN))
    assert len(found) == len(PLAIN) + 1


ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped("trace.txt", data),
    "tar": lambda data: tarred("trace.txt", data, "w"),
    "tar.gz": lambda data: tarred("trace.txt", data),
    "zip in tar.gz": lambda data: tarred("trace.zip", zipped("a", data)),
    "gz in gz": lambda data: gzip.compress(gzip.compress(data)),
    "gz in tar": lambda data: tarred("trace.gz", gzip.compress(data), "w"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_with_a_secret_is_not_kept(kind: str, tmp_path: Path) -> None:
    """Archives are looked into, also within each other; a clean one stays as it is."""
    noise = bytes(range(256)) * 40
    (tmp_path / "bad").write_bytes(ARCHIVES[kind](noise + PLAIN.encode() + noise))
    (tmp_path / "good").write_bytes(ARCHIVES[kind](noise))
    (found,) = leak.scan(tmp_path, knowing(PLAIN))
    assert found.path == "bad" and "archive that held a secret" in found.why
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(os.urandom(5000))[:-900], "broken archive"),
        (zipped("a", b"b" * 50)[:-30], "not a zip file"),
        (gzip.compress(bytes(3_000_000)), "unpacks to more than"),
        (zipped("a", bytes(3_000_000)), "unpacks to more than"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x"))))), "within"),
    ],
    ids=["torn gz", "torn zip", "endless gz", "endless zip", "too deep"],
)
def test_what_nobody_can_look_into_is_not_kept(
    data: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken or endless archive could hold anything, so it goes, and is named."""
    monkeypatch.setattr(leak, "MOST_UNPACKED", 1_000_000)
    (tmp_path / "closed").write_bytes(data)
    (found,) = leak.scan(tmp_path, knowing(PLAIN))
    assert found.path == "closed" and why in found.why
    assert not (tmp_path / "closed").exists()


def test_links_and_pipes_are_not_kept(tmp_path: Path) -> None:
    """What is no ordinary file would be read elsewhere, or for ever."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.write_text(PLAIN)
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = leak.scan(folder, knowing(PLAIN))
    assert sorted(item.path for item in found) == ["folder", "link", "pipe"]
    assert list(folder.iterdir()) == [] and elsewhere.read_text() == PLAIN


def test_a_name_is_looked_at_too(tmp_path: Path) -> None:
    """A secret in a file's name is no better; the finding does not repeat it."""
    (tmp_path / f"dump-{PLAIN}.sql").write_text("nothing")
    (found,) = leak.scan(tmp_path, knowing(PLAIN))
    assert found.path == f"dump-{MASK}.sql" and list(tmp_path.iterdir()) == []


def test_abras_own_data_is_no_part_of_what_is_kept(tmp_path: Path) -> None:
    """A kept app's env file is there on purpose, in a folder that its run's end removes."""
    (tmp_path / "abra").mkdir()
    (tmp_path / "abra" / "app.env").write_text(PLAIN)
    assert leak.scan(tmp_path, knowing(PLAIN)) == ()
    assert (tmp_path / "abra" / "app.env").read_text() == PLAIN
