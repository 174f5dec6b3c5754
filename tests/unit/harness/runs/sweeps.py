"""One app in the registry, and sweeps of the janitor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.runs import janitor
from harness.settings import Settings
from tests.support.fake_docker import FakeDocker

DOMAIN, STACK = "aaaaaa-hello.ci.test", "aaaaaa-hello_ci_test"


def sweep(here: Settings, api: FakeDocker, **options: Any) -> janitor.Sweep:
    """Run the janitor once."""
    options.setdefault("finish", lambda folder: None)
    return janitor.sweep(here, api, own_run="run-8", progress=lambda line: None, **options)


def rewrite(path: Path, **changes: object) -> None:
    """Change fields of an entry."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
