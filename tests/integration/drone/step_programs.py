"""Programs that steps start, as files of the CI repository."""

from __future__ import annotations

# Writes its pid, then goes on until somebody makes the file `go`, then says so.
CHILD = """\
echo $$ > "$PLACE/child"
until [ -e "$PLACE/go" ]; do echo tick; sleep 0.1; done
echo more && echo done > "$PLACE/done"
"""
# Asks the kernel for a signal at its parent's death; what it does then takes a while.
GUARDED = """\
import ctypes, os, signal, sys, time
place = os.environ["PLACE"]
def heard(number, frame):
    time.sleep(0.3)
    open(place + "/heard", "w").write(f"{number} {os.getppid()}")
    sys.exit(0)
signal.signal(signal.SIGTERM, heard)
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
open(place + "/child", "w").write(str(os.getpid()))
signal.pause()
"""
FILES = {"child.sh": CHILD, "guarded.py": GUARDED}
