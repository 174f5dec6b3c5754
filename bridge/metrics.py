"""What operators can watch, for Prometheus. No label holds a person's or a repository's name."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

COMMENTS = Counter("ccci_comments_seen", "Comments that speak to the bot", ["command"])
REFUSALS = Counter("ccci_refusals", "Commands that were not followed", ["reason"])
BUILDS = Counter("ccci_builds_started", "Drone builds started", ["lane"])
VERDICTS = Counter("ccci_verdicts", "Runs that ended", ["lane", "verdict"])
ERRORS = Counter("ccci_call_errors", "Calls without a usable answer", ["server", "kind"])
HOOKS = Counter("ccci_hooks", "Webhook deliveries", ["answer"])
CRASHES = Counter("ccci_loop_errors", "Errors that a loop of the bridge met and survived", ["loop"])
ACTIVE = Gauge("ccci_active_runs", "Runs that have no verdict yet")
ACKNOWLEDGED = Histogram(
    "ccci_acknowledge_seconds",
    "Seconds from a comment to its reaction and pending status",
    buckets=(0.5, 1, 2, 3, 5, 10, 30, 60, 300),
)
HOOK_SECONDS = Histogram(
    "ccci_hook_seconds", "Seconds to answer a delivery", buckets=(0.005, 0.02, 0.1, 0.5, 2, 5)
)
