"""In a Drone step, hide the build from the tests: they would take it for the build of their own runs."""

import os

for _key in list(os.environ):
    if _key == "DRONE" or _key.startswith(("DRONE_BUILD_", "DRONE_SYSTEM_", "DRONE_REPO")):
        del os.environ[_key]
