"""Stand-in for the CLI `abra`: drives the real Docker and supports only the commands that the harness uses.

Where abra's behaviour is uncertain, it assumes the stricter one. It refuses every command, flag and setting
that it does not support. `tests/integration/abra` states what the harness relies on and runs against a real
abra as well.

Packages, each importing only those after it: `cli`, `commands`, `recipe`, `files`, `tools`.
"""

VERSION = "0.0.0-standin"
