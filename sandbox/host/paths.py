"""Folders, ports, versions and names of the sandbox."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("CCCI_CACHE_DIR", "/var/cache/cc-ci"))
STATE = CACHE / "bench"  # of the test bed: certificate, stack files, locks, log of Docker's engine
SETTINGS = CHECKOUT / ".bench" / "settings.env"
RECIPES = CACHE / "recipes"

PROXY_NETWORK = "proxy"
PROXY_SUBNET = "10.10.0.0/16"
APPS_DOMAIN = "ci.test"
HTTPS_PORT, API_PORT = 8443, 8090
TRAEFIK = "3.6.12"
GITEA = "1.26.0"
MINIFLUX = ("2.2.13", "2.2.14")
FULL_STACK = CACHE / "sandbox"  # forge, Drone and bridge of `make sandbox`
FULL_STACK_PORT = int(os.environ.get("SANDBOX_PORT", "8301"))  # the first of four

CI_REPO = "ci/cc-ci"  # at the sandbox's forge; Drone reads the pipelines from it
PROGRAM_PATH = f"{CHECKOUT / '.venv' / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
CAPACITY = 2  # runs at the same time, as in `.drone.yml` and in the slots of the harness
