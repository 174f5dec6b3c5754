"""A stand-in for the abra CLI that drives the real Docker and models only what the harness uses.

Where abra's behaviour is uncertain it takes the harsher reading; what it does not model it refuses.
`tests/integration/abra` states what is relied on and runs against a real abra as well.
"""

VERSION = "0.0.0-standin"
