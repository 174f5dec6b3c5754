"""What the stand-in for abra reads and writes: app folders, env files, compose files, versions."""
