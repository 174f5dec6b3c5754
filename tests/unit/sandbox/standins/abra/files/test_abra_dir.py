"""Finding abra's data directory and its servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.standins.abra.files.abra_dir import AbraDir
from sandbox.standins.abra.log import Fatal


def test_a_directory_without_servers_is_fatal(tmp_path: Path) -> None:
    """abra's message says that the directory is empty."""
    folder = AbraDir.locate({"ABRA_DIR": str(tmp_path / "abra")})
    with pytest.raises(Fatal, match="directory is empty"):
        folder.servers()


def test_without_abra_dir_the_home_directory_is_used(tmp_path: Path) -> None:
    assert AbraDir.locate({"HOME": str(tmp_path)}).root == tmp_path / ".abra"
