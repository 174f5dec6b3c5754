"""A fake Docker engine in memory, with the calls that removal makes and Docker's refusals."""

from __future__ import annotations

from typing import Any

from docker.errors import APIError

from harness.swarm.engine import NAMESPACE


class Refused(APIError):
    """The SDK's error for an HTTP status of the engine."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self._status, self.explanation = status, text

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self._status


class FakeDocker:
    """Has objects by kind and name; those named in `stuck` cannot be removed."""

    def __init__(self, *, stuck: frozenset[str] = frozenset()) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {
            kind: {}
            for kind in ("service", "container", "network", "volume", "secret", "config", "task")
        }
        self.stuck = stuck

    def deploy(self, stack: str, *, created: str = "2026-01-01T00:00:00.0Z") -> None:
        """Create one object of each kind for a stack, with the names that abra and Swarm give them."""
        label = {NAMESPACE: stack}
        spec = {"Name": f"{stack}_app", "Labels": label}
        self.objects["service"][f"{stack}_app"] = {"Spec": spec, "CreatedAt": created}
        self.objects["container"][f"/{stack}_app.1.x"] = {"Labels": label}
        made = {"CreatedAt": created}
        self.objects["network"][f"{stack}_internal"] = {"Labels": label, "Created": created}
        self.objects["volume"][f"{stack}_content"] = {"Labels": label, **made}
        self.objects["secret"][f"{stack}_password_v1"] = made
        self.objects["config"][f"{stack}_conf_v1"] = {"Labels": label, **made}

    def names(self) -> set[str]:
        """Return the names of all objects."""
        return {name for kind in self.objects.values() for name in kind}

    def _list(self, kind: str, filters: dict[str, str] | None) -> list[dict[str, Any]]:
        wanted = (filters or {}).get("label", "").partition("=")[2]
        rows = []
        for name, body in self.objects[kind].items():
            labels = body.get("Labels") or body.get("Spec", {}).get("Labels") or {}
            if wanted and labels.get(NAMESPACE) != wanted:
                continue
            spec = {"Name": name, **body.get("Spec", {})}
            rows.append(
                {**body, "ID": name, "Id": name, "Name": name, "Names": [name], "Spec": spec}
            )
        return rows

    def _remove(self, kind: str, name: str) -> None:
        if name in self.stuck:
            raise Refused(409, f"{kind} {name} is in use")
        stack = self.objects[kind].get(name, {}).get("Labels", {}).get(NAMESPACE)
        if kind == "volume" and self._list("container", {"label": f"{NAMESPACE}={stack}"}):
            raise Refused(409, "volume is in use")
        if self.objects[kind].pop(name, None) is None:
            raise Refused(404, f"no such {kind}")

    def services(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """List services."""
        return self._list("service", filters)

    def containers(self, all: bool = False, filters: Any = None) -> list[dict[str, Any]]:
        """List containers."""
        return self._list("container", filters)

    def networks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """List networks."""
        return self._list("network", filters)

    def volumes(self) -> dict[str, Any]:
        """List volumes; null without any, like the real engine."""
        return {"Volumes": self._list("volume", None) or None}

    def secrets(self) -> list[dict[str, Any]]:
        """List secrets."""
        return self._list("secret", None)

    def configs(self) -> list[dict[str, Any]]:
        """List configs."""
        return self._list("config", None)

    def tasks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """List no tasks; they are removed with their service."""
        return []

    def remove_service(self, name: str) -> None:
        """Remove a service."""
        self._remove("service", name)

    def remove_container(self, name: str, *, force: bool, v: bool) -> None:
        """Remove a container by force."""
        assert force
        self._remove("container", name)

    def remove_network(self, name: str) -> None:
        """Remove a network."""
        self._remove("network", name)

    def remove_volume(self, name: str) -> None:
        """Remove a volume unless it is in use."""
        self._remove("volume", name)

    def remove_secret(self, name: str) -> None:
        """Remove a secret."""
        self._remove("secret", name)

    def remove_config(self, name: str) -> None:
        """Remove a config."""
        self._remove("config", name)
