"""The pytest plugin; load it with `-p harness.plugin`."""

pytest_plugins = (
    "harness.plugin.options",
    "harness.plugin.collection",
    "harness.plugin.fixtures",
    "harness.plugin.protocol",
)
