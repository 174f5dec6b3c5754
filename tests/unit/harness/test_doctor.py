"""`cc-ci doctor`: each part of the host, and a fix for anything missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.settings import CHECKOUT


def doctor(**values: str) -> tuple[int, dict[str, str]]:
    """Run the command; return its exit code and the line of each part."""
    words = [str(Path(sys.executable).with_name("cc-ci")), "doctor"]
    env = {**os.environ, **values}
    done = subprocess.run(words, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    rows = [re.match(r"([✓✗]) (.{12}) (.*)", line) for line in done.stdout.splitlines()]
    return done.returncode, {row[2].strip(): f"{row[1]} {row[3]}" for row in rows if row}


def test_missing_parts_are_named_with_a_fix(tmp_path: Path) -> None:
    """Here engine, abra and proxy are missing."""
    settings = tmp_path / "settings.env"
    settings.write_text(
        "CCCI_ABRA=/no/abra\nCCCI_PROXY=127.0.0.1:1\nCCCI_RECIPES_URL=/no/{recipe}\n"
    )
    exit_code, parts = doctor(CCCI_SETTINGS=str(settings), DOCKER_HOST="unix:///no/docker.sock")
    assert exit_code == 1
    assert parts["python"].startswith("✓ 3.") and parts["git"].startswith("✓ git version")
    for part in ("abra", "docker", "swarm", "space", "proxy", "backup bot"):
        assert parts[part].startswith("✗") and "  fix: " in parts[part], part


def test_the_jail_is_checked_only_if_a_recipe_is_trusted(tmp_path: Path) -> None:
    """Nothing else needs bubblewrap."""
    suites, without = tmp_path / "suites", tmp_path / "bin"
    (suites / "plain").mkdir(parents=True)
    without.mkdir()
    values = {"CCCI_SUITES_DIR": str(suites), "PATH": str(without), "DOCKER_HOST": "unix:///no"}
    assert doctor(**values)[1]["jail"].startswith("✓ not needed")
    (suites / "trusted.yml").write_text("plain: {}\n")
    line = doctor(**values)[1]["jail"]
    assert line.startswith("✗") and "apt-get install bubblewrap" in line


@pytest.mark.swarm
def test_each_part_has_its_version_on_a_host_that_is_set_up() -> None:
    exit_code, parts = doctor()
    assert exit_code == 0, parts
    for part in ("python", "git", "abra", "docker", "proxy", "backup bot"):
        assert re.search(r"\d+\.\d+", parts[part]), part
