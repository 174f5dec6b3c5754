"""The override file that a deploy adds to the compose files: abra's labels and the endpoint mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.standins.abra.files import compose
from sandbox.standins.abra.files.compose import Compose

SETTINGS = Path(__file__).resolve().parents[4] / ".bench/settings.env"  # written by the sandbox


def override(
    merged: Compose, stack: str, *, recipe: str, version: str, chaos_version: str, mode: str
) -> dict[str, Any]:
    """Return the content of the override file.

    Args:
        merged: the compose files that are deployed.
        stack: name of the stack.
        recipe: name of the recipe.
        version: version of a release; unused in a chaos deploy, where the recipe's own label stays.
        chaos_version: short hash in a chaos deploy, else "".
        mode: endpoint mode of each service that publishes no port through the routing mesh; "" for none.
    """
    services: dict[str, Any] = {}
    for name, service in merged.services.items():
        body: dict[str, Any] = {}
        if mode and not compose.publishes_ingress(service):
            body["endpoint_mode"] = mode
        if name == "app":
            body["labels"] = _labels(stack, recipe, version, chaos_version)
        if body:
            services[name] = {"deploy": body}
    tree: dict[str, Any] = {"services": services}
    return {"version": merged.version, **tree} if merged.version is not None else tree


def _labels(stack: str, recipe: str, version: str, chaos_version: str) -> dict[str, str]:
    prefix = f"coop-cloud.{stack}"
    labels = {f"{prefix}.recipe": recipe, f"{prefix}.chaos": "true" if chaos_version else "false"}
    if chaos_version:
        labels[f"{prefix}.chaos-version"] = chaos_version
    else:
        labels[f"{prefix}.version"] = version
    return labels


def endpoint_mode(environ: Mapping[str, str]) -> str:
    """Return the endpoint mode that this machine's services need, "" for Docker's default.

    It comes from CCCI_ENDPOINT_MODE, else from the settings file that the sandbox's set-up wrote.
    """
    if "CCCI_ENDPOINT_MODE" in environ:
        return environ["CCCI_ENDPOINT_MODE"]
    path = Path(environ.get("CCCI_SETTINGS") or SETTINGS)
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    values = dict(line.split("=", 1) for line in lines if "=" in line and line[:1] != "#")
    return values.get("CCCI_ENDPOINT_MODE", "").strip()
