"""Stand-in for the Drone server and its exec runner, in one process.

It answers like the recordings of Drone 2.25 and runs pipelines as measured with the real exec runner. It
refuses everything that it does not support. `tests/integration/drone` states what the harness and the bridge
rely on and runs against a real Drone as well.

Packages, each importing only those after it: `runner`, `server`, `pipeline`.
"""

VERSION = "2.25.0"  # version of the server that was recorded
