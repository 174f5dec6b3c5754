"""Domains and stack names of apps, within the length limits of abra and Docker.

The unique part comes first: abra makes the stack's name from the domain, with underscores for dots, and
cuts it at 45 characters. Swarm allows 63 characters for a service and 64 for a secret or config
(swarmkit).
"""

from __future__ import annotations

import hashlib

from harness.errors import UsageError

MAX_STACK_NAME = 45  # characters; abra cuts longer names
MAX_SERVICE_NAME = 63  # characters
MAX_OBJECT_NAME = 64  # characters, of a secret or config
PROXY_NETWORK = "proxy"  # the network that the web services of all apps join


def app_token(life: str, recipe: str, run: str, pr: str, ref: str) -> str:
    """Return six hex digits that differ between lives, recipes, runs, pull requests and commits."""
    return hashlib.sha256("\0".join((life, recipe, run, pr, ref)).encode()).hexdigest()[:6]


def app_domain(token: str, recipe: str, parent: str) -> str:
    """Return the domain of an app.

    Args:
        token: the unique part, see `app_token`.
        recipe: name of the recipe.
        parent: domain under which apps are deployed.

    Raises:
        UsageError: abra would cut the name of the app's stack.
    """
    domain = f"{token}-{recipe}.{parent}"
    over = len(domain) - MAX_STACK_NAME
    if over > 0:
        raise UsageError(
            f"the domain '{domain}' is {over} characters too long: abra cuts stack names at "
            f"{MAX_STACK_NAME}; set CCCI_APPS_DOMAIN to a shorter domain"
        )
    return domain


def stack_name(domain: str) -> str:
    """Return the name of the stack that abra deploys for a domain."""
    return domain.replace(".", "_")[:MAX_STACK_NAME]
