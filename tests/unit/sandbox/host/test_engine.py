"""Starting Docker's engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sandbox.host import engine


def test_the_pid_file_of_a_zombie_engine_is_removed(tmp_path: Path) -> None:
    """It would keep a new engine from starting."""
    program = tmp_path / "dockerd"
    shutil.copy("/bin/true", program)
    process = subprocess.Popen([program])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    record = tmp_path / "docker.pid"
    record.write_text(str(process.pid))
    engine._remove_stale_pid_file(record)
    assert not record.exists()
    process.wait()
