"""Settings of the bridge that it must not start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import settings


@pytest.mark.parametrize("text", ["a b", "a\r\nX-Evil: 1", "a\x00b", "g\u00e9heim"])
def test_secret_that_cannot_be_a_header_is_refused(tmp_path: Path, text: str) -> None:
    """The bridge reports it at its start, not with the first request."""
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(settings.SettingsError, match=r"GITEA_TOKEN_FILE: .*printable ASCII"):
        settings.load({"GITEA_TOKEN_FILE": str(path)})


def test_empty_secret_is_refused(tmp_path: Path) -> None:
    """A webhook with an empty secret would be open to everybody."""
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(settings.SettingsError, match=r"BRIDGE_HOOK_SECRET_FILE: .*is empty"):
        settings.load({"BRIDGE_HOOK_SECRET_FILE": str(tmp_path / "secret")})
