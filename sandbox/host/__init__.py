"""The CI host on one machine: engine, images, proxy, backup bot, recipe repositories."""
