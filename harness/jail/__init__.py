"""A bubblewrap sandbox for untrusted tests: command, files, network, results."""
