"""Files that abra reads and writes: ABRA_DIR, env files, recipe checkouts, compose files."""
