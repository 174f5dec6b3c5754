"""Records a soak as one trial of the figures: `python -m tests.faults.soak FILE`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.figures import Part, trial

PART = Part.SOAK


def record(file: Path) -> None:
    """Record the runs of a soak as one trial; the last line has the findings, unless the soak was killed."""
    rows = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    runs = [row for row in rows if "recipe" in row]
    found: dict[str, Any] = next((row for row in rows if "leaks" in row), {})
    kinds = Counter(f"{row['recipe']} {row['lane']}" for row in runs)
    what = f"the demo recipes in turn, {len(runs)} runs, the host compared before and after"
    with trial(PART, what, times=len(runs)) as result:
        result.seconds += [row["seconds"] for row in runs]
        result.note = ", ".join(f"{name} {count}" for name, count in kinds.items())
        for kind in ("red", "leaks", "unexplained", "drift"):
            result.lost += found.get(kind, ["the findings are missing"] if kind == "leaks" else [])


if __name__ == "__main__":
    record(Path(sys.argv[1]))
