"""`python -m sandbox doctor`: the findings of `cc-ci doctor`, and checks that only the test bed needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.host import shell
from sandbox.host.paths import CHECKOUT
from sandbox.trials import doctor, product
from sandbox.trials.product import Finished


def test_missing_go_and_images_are_named_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(product, "cc_ci", lambda *_: Finished(0, "✓ python 3.11\n"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.doctor() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ python 3.11"
    assert lines[1].startswith("✗ go ") and lines[1].endswith("fix: install Go 1.25 or later")
    assert lines[2].startswith("✗ images ") and lines[2].endswith("fix: make setup")


def test_the_images_that_are_built_here_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"go": "go version go1.25.1 linux/amd64\n", "docker": "ccci/b:1\nccci/a:1\n"}
    monkeypatch.setattr(doctor, "run", lambda words, **_: answers[words[0]])
    monkeypatch.setattr(product, "cc_ci", lambda *_: Finished(0, ""))
    assert doctor.doctor() == 0
    out = capsys.readouterr().out
    assert "✓ go           1.25.1 (" in out and "✓ images       ccci/a:1, ccci/b:1\n" in out


def test_a_failed_check_of_the_product_fails_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "cc_ci", lambda *_: Finished(1, "✗ docker\n"))
    monkeypatch.setattr(doctor, "_check", lambda *_: True)
    assert doctor.doctor() == 1


@pytest.mark.swarm
def test_all_checks_pass_on_a_host_that_is_set_up() -> None:
    words = [sys.executable, "-m", "sandbox", "doctor"]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "ccci/nginx:" in done.stdout


def test_errors_have_the_exit_codes_of_the_product() -> None:
    codes = [kind.exit_code for kind in (shell.SetupError, shell.UsageError, product.ProductError)]
    assert codes == [1, 4, 16]
