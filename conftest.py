"""Loads the pytest plugin of the harness for every pytest run of this checkout."""

pytest_plugins = ["harness.plugin"]
