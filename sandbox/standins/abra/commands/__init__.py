"""abra's commands: each takes a parsed command line, does the work and prints the result."""
