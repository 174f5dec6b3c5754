"""When the listener reads the forge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.comments.guards import Guards
from bridge.comments.listener import MIN_SCAN_INTERVAL, Listener
from bridge.store import Store


def test_rejected_requests_cause_two_scans_a_minute_at_most(tmp_path: Path) -> None:
    """However many requests are rejected: otherwise anyone could overload the forge through the bridge."""
    no_forge: Any = None
    guards = Guards(org="org", bot="bot", allowed=frozenset(), ignored=frozenset())
    listener = Listener(no_forge, Store(tmp_path / "s.sqlite"), guards, 0.0, lambda: None)
    assert listener.step() == float("inf")
    listener.request_scan()
    assert 0 < listener.step() <= MIN_SCAN_INTERVAL
    for _ in range(100):
        listener.request_scan()
    assert MIN_SCAN_INTERVAL - 5 < listener.step() <= MIN_SCAN_INTERVAL
