"""The settings file of the test bed: written for the product, read back by the trials."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import settings as product_settings
from sandbox.host import settings


def test_what_is_written_is_read_by_the_product_too(tmp_path: Path) -> None:
    path = tmp_path / "bed" / "settings.env"
    values = {"CCCI_PROXY": "127.0.0.1:8443", "CCCI_RECIPES_URL": "/recipes/{recipe}"}
    settings.write(values, path)
    assert settings.read(path) == values
    found = product_settings.load({"CCCI_SETTINGS": str(path)})
    assert (found.proxy, found.recipes_url) == tuple(values.values())


def test_a_file_with_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    settings.write({"CCCI_PROXY": "a:1"}, path)
    os.utime(path, (1, 1))
    settings.write({"CCCI_PROXY": "a:1"}, path)
    assert path.stat().st_mtime == 1


@pytest.mark.parametrize("key", settings.FOLDERS)
def test_folders_are_found_as_the_product_finds_them(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment goes before the file, the file before the default."""
    for name in settings.FOLDERS:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "settings.env"
    for text, value in (("", None), (f"{key}=/from/file\n", None), (f"{key}=/file\n", "/env")):
        file.write_text(text)
        environ = {"CCCI_SETTINGS": str(file), **({key: value} if value else {})}
        for name, each in environ.items():
            monkeypatch.setenv(name, each)
        product = product_settings.load(environ)
        assert settings.folder(key) == getattr(product, key.removeprefix("CCCI_").lower())
