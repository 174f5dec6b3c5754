"""The pytest plugin: options, collection, fixtures, protocol, workers. Load it as `harness.plugin`."""

pytest_plugins = (
    "harness.plugin.options",
    "harness.plugin.collection",
    "harness.plugin.fixtures",
    "harness.plugin.protocol",
)
