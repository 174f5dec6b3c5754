"""Settings of a CI host: from the environment, else from a settings file, else a default.

The file has `KEY=VALUE` lines. Its path is `CCCI_SETTINGS`, else `.bench/settings.env` in the checkout
(written by `make setup`), else `/etc/cc-ci/settings.env` (written by the host's configuration).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SettingError

CHECKOUT = Path(__file__).resolve().parent.parent
SLOTS = 2  # runs at the same time on one host; .drone.yml and the runner's capacity match it
KEYS = frozenset(
    [
        "CCCI_ABRA",
        "CCCI_ACTIVE_DIR",
        "CCCI_APPS_DOMAIN",
        "CCCI_CACHE_DIR",
        "CCCI_CA_FILE",
        "CCCI_ENDPOINT_MODE",
        "CCCI_JANITOR_MAX_AGE",
        "CCCI_LOCK_DIR",
        "CCCI_PROXY",
        "CCCI_PROXY_API",
        "CCCI_RECIPES_URL",
        "CCCI_FORGE_URL",
        "CCCI_FIGURES",  # file for the figures that the fault tests measure
        "CCCI_RUN",  # id of the run, set for its child processes so that the janitor finds them
        "CCCI_RUNS_DIR",
        "CCCI_SLOTS_DIR",
        "CCCI_SETTINGS",
        "CCCI_QUICK",
        "CCCI_DEADLINE",
        "CCCI_SUITES_DIR",
    ]
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one host. Times are in seconds, directories are absolute paths."""

    abra: str
    apps_domain: str
    proxy: str
    proxy_api: str
    ca_file: Path | None
    recipes_url: str
    forge_url: str
    endpoint_mode: str
    runs_dir: Path
    lock_dir: Path
    active_dir: Path
    slots_dir: Path
    suites_dir: Path
    janitor_max_age: float
    deadline: float

    @property
    def proxy_address(self) -> tuple[str, int]:
        """Host and port of the proxy for HTTPS."""
        host, _, port = self.proxy.rpartition(":")
        return host, int(port)


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    Args:
        environ: the environment; only its CCCI_ keys are read.

    Raises:
        SettingError: an unknown CCCI_ key, an unreadable file, or an invalid value.
    """
    values = {**_file(environ), **{k: v for k, v in environ.items() if k.startswith("CCCI_")}}
    unknown = sorted(set(values) - KEYS)
    if unknown:
        raise SettingError(
            f"unknown setting '{unknown[0]}'; known settings: {', '.join(sorted(KEYS))}"
        )
    proxy = values.get("CCCI_PROXY", "127.0.0.1:443")
    if not proxy.rpartition(":")[2].isdigit():
        raise SettingError(f"CCCI_PROXY is '{proxy}', but must be HOST:PORT")
    ca_file = values.get("CCCI_CA_FILE")
    return Settings(
        abra=values.get("CCCI_ABRA", "abra"),
        apps_domain=values.get("CCCI_APPS_DOMAIN", "ci.test"),
        proxy=proxy,
        proxy_api=values.get("CCCI_PROXY_API", "").rstrip("/"),
        ca_file=Path(ca_file) if ca_file else None,
        recipes_url=values.get(
            "CCCI_RECIPES_URL", "https://git.coopcloud.tech/coop-cloud/{recipe}.git"
        ),
        forge_url=values.get("CCCI_FORGE_URL", "https://git.coopcloud.tech").rstrip("/"),
        endpoint_mode=values.get("CCCI_ENDPOINT_MODE", ""),
        runs_dir=Path(values.get("CCCI_RUNS_DIR", "/var/lib/cc-ci-runs")),
        lock_dir=Path(values.get("CCCI_LOCK_DIR", "/run/lock")),
        active_dir=Path(values.get("CCCI_ACTIVE_DIR", "/run/cc-ci-active")),
        slots_dir=Path(values.get("CCCI_SLOTS_DIR", "/run/cc-ci-slots")),
        suites_dir=Path(values.get("CCCI_SUITES_DIR", str(CHECKOUT / "recipes_tests"))),
        janitor_max_age=_seconds(values, "CCCI_JANITOR_MAX_AGE", 7200.0),
        deadline=_seconds(values, "CCCI_DEADLINE", 3000.0),
    )


def _seconds(values: Mapping[str, str], key: str, default: float) -> float:
    text = values.get(key)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise SettingError(f"{key} is '{text}', but must be a number of seconds, 0 or more")
    return seconds


def _file(environ: Mapping[str, str]) -> dict[str, str]:
    named = environ.get("CCCI_SETTINGS")
    candidates = [CHECKOUT / ".bench/settings.env", Path("/etc/cc-ci/settings.env")]
    path = Path(named) if named else next((c for c in candidates if c.is_file()), None)
    if path is None:
        return {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise SettingError(f"cannot read the settings file '{path}': {error.strerror}") from error
    return dict(
        _pair(path, number, line) for number, line in enumerate(lines, 1) if _is_setting(line)
    )


def _is_setting(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _pair(path: Path, number: int, line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals or key.strip() not in KEYS:
        raise SettingError(f"{path}:{number}: '{line.strip()}' is not a known KEY=VALUE setting")
    return key.strip(), value.strip()
