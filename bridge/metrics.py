"""Prometheus metrics. No label contains the name of a user or of a repository."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

COMMENTS = Counter("ccci_comments_seen", "Comments with a command for the bot", ["command"])
REFUSALS = Counter("ccci_refusals", "Commands that were refused", ["reason"])
BUILDS = Counter("ccci_builds_started", "Drone builds started", ["lane"])
VERDICTS = Counter("ccci_verdicts", "Finished runs", ["lane", "verdict"])
ERRORS = Counter("ccci_call_errors", "Failed requests to forge and Drone", ["server", "kind"])
HOOKS = Counter("ccci_hooks", "Webhook requests", ["answer"])
CRASHES = Counter("ccci_loop_errors", "Unexpected errors in a loop, which continued", ["loop"])
ACTIVE = Gauge("ccci_active_runs", "Runs without a verdict")
ACKNOWLEDGED = Histogram(
    "ccci_acknowledge_seconds",
    "Seconds from accepting a command to its pending commit status",
    buckets=(0.5, 1, 2, 3, 5, 10, 30, 60, 300),
)
HOOK_SECONDS = Histogram(
    "ccci_hook_seconds",
    "Seconds to respond to a webhook request",
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 5),
)
