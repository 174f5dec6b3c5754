"""Programs that steps start, as files of the CI repository; `TEST_DIR` is a build parameter."""

from __future__ import annotations

# Writes its pid, then runs until the test creates the file `go`, then creates the file `done`.
CHILD = """\
echo $$ > "$TEST_DIR/child"
until [ -e "$TEST_DIR/go" ]; do echo tick; sleep 0.1; done
echo more && echo done > "$TEST_DIR/done"
"""
# Asks the kernel for a signal when its parent dies; its clean-up takes a while.
GUARDED = """\
import ctypes, os, signal, sys, time
folder = os.environ["TEST_DIR"]
def clean_up(number, frame):
    time.sleep(0.3)
    open(folder + "/cleaned-up", "w").write(f"{number} {os.getppid()}")
    sys.exit(0)
signal.signal(signal.SIGTERM, clean_up)
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
open(folder + "/child", "w").write(str(os.getpid()))
signal.pause()
"""
FILES = {"child.sh": CHILD, "guarded.py": GUARDED}
