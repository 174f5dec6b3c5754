"""The folders of one stage."""

from __future__ import annotations

import secrets
import shutil
import string
from dataclasses import dataclass
from pathlib import Path

LETTERS = string.ascii_letters + string.digits
NAME_LENGTH = 16  # random characters


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one stage, created for it and removed when it finishes."""

    root: Path

    @property
    def home(self) -> Path:
        """HOME of the steps."""
        return self.root / "home/drone"

    @property
    def source(self) -> Path:
        """The clone, in which the steps run."""
        return self.root / "drone/src"

    @property
    def scripts(self) -> Path:
        """The scripts of the steps."""
        return self.root / "opt"

    @classmethod
    def create(cls, parent: Path) -> Workspace:
        """Create the folders below a folder with a random name."""
        name = "".join(secrets.choice(LETTERS) for _ in range(NAME_LENGTH))
        made = cls(parent / f"drone-{name}")
        made.root.mkdir(parents=True)
        for folder in (made.home.parent, made.home, made.source.parent, made.source, made.scripts):
            folder.mkdir(mode=0o700)
        return made

    def remove(self) -> None:
        """Remove the folders, even if a process still uses them."""
        shutil.rmtree(self.root, ignore_errors=True)
