"""Loads the harness for every pytest run of this checkout."""

pytest_plugins = ["harness.plugin"]
