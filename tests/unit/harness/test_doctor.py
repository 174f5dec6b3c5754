"""`cc-ci doctor`: for each part what is there, or the one line that fixes it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.settings import CHECKOUT


def doctor(**values: str) -> tuple[int, dict[str, str]]:
    """Run the command; return its status and what it says of each part."""
    words = [Path(sys.executable).with_name("cc-ci"), "doctor"]
    env = {**os.environ, **values}
    done = subprocess.run(words, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    rows = [re.match(r"([✓✗]) (.{12}) (.*)", line) for line in done.stdout.splitlines()]
    return done.returncode, {row[2].strip(): f"{row[1]} {row[3]}" for row in rows if row}


def test_what_is_missing_is_named_with_what_fixes_it(tmp_path: Path) -> None:
    """Without an engine, an abra and a proxy each line ends with a remedy, and the status is 1."""
    settings = tmp_path / "settings.env"
    settings.write_text(
        "CCCI_ABRA=/no/abra\nCCCI_PROXY=127.0.0.1:1\nCCCI_RECIPES_URL=/no/{recipe}\n"
    )
    status, parts = doctor(CCCI_SETTINGS=str(settings), DOCKER_HOST="unix:///no/docker.sock")
    assert status == 1
    assert parts["python"].startswith("✓ 3.") and parts["git"].startswith("✓ git version")
    for part in ("abra", "docker", "swarm", "room", "proxy", "backup bot", "images"):
        assert parts[part].startswith("✗") and "  fix: " in parts[part], part


def test_a_host_that_pulls_its_images_needs_no_go(tmp_path: Path) -> None:
    """Only where the recipes are the sandbox's are their images built, and is that looked at."""
    settings = tmp_path / "settings.env"
    settings.write_text("CCCI_RECIPES_URL=https://git.example.org/{recipe}.git\n")
    _, parts = doctor(CCCI_SETTINGS=str(settings), DOCKER_HOST="unix:///no/docker.sock")
    assert not {"go", "images"} & set(parts)


def test_a_jail_is_looked_for_only_where_a_recipe_is_trusted(tmp_path: Path) -> None:
    """Its tool is named once a recipe's own tests are to run, and nobody needs it before."""
    suites, without = tmp_path / "suites", tmp_path / "bin"
    (suites / "plain").mkdir(parents=True)
    without.mkdir()
    values = {"CCCI_SUITES_DIR": str(suites), "PATH": str(without), "DOCKER_HOST": "unix:///no"}
    assert doctor(**values)[1]["jail"].startswith("✓ not needed")
    (suites / "trusted.yml").write_text("plain: {}\n")
    said = doctor(**values)[1]["jail"]
    assert said.startswith("✗") and "'bwrap' is missing; run `apt-get install bubblewrap`" in said


@pytest.mark.swarm
def test_what_is_there_is_told_with_its_version() -> None:
    """On a host that is set up each part has its version or where it is, and the status is 0."""
    status, parts = doctor()
    assert status == 0, parts
    for part in ("python", "git", "abra", "docker", "proxy", "backup bot"):
        assert re.search(r"\d+\.\d+", parts[part]), part
    assert "ccci/nginx:" in parts["images"]
