"""Names of apps: the unique part comes first, and everything stays inside Docker's limits.

abra makes the stack's name from the domain, dots as underscores, and cuts it at 45 characters;
Swarm allows 63 characters for a service and 64 for a secret or config (swarmkit).
"""

from __future__ import annotations

import hashlib

from harness.errors import UsageError

STACK, SERVICE, OBJECT = 45, 63, 64


def unique(life: str, recipe: str, run: str, pr: str, ref: str) -> str:
    """Return six hex digits that differ between runs, lives, recipes and commits."""
    return hashlib.sha256("\0".join((life, recipe, run, pr, ref)).encode()).hexdigest()[:6]


def app_domain(token: str, recipe: str, parent: str) -> str:
    """Return the domain of an app.

    Raises:
        UsageError: the stack's name would be cut, says by how much.
    """
    domain = f"{token}-{recipe}.{parent}"
    over = len(domain) - STACK
    if over > 0:
        raise UsageError(
            f"the domain '{domain}' is {over} characters too long: abra cuts a stack's name at "
            f"{STACK}; set CCCI_APPS_DOMAIN to a shorter domain"
        )
    return domain


def stack_name(domain: str) -> str:
    """Return the name of the stack that abra deploys for a domain."""
    return domain.replace(".", "_")[:STACK]
