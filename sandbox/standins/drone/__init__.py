"""A stand-in for the Drone server and its exec runner, in one process.

It answers as Drone 2.25 was recorded to answer, runs pipelines as its exec runner was measured to
run them, and refuses what it does not model. `tests/integration/drone` states what is relied on and
runs against a real Drone as well.
"""

VERSION = "2.25.0"  # what a real server of the recordings says
