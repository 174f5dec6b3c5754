"""Attacks: suites that try to get a false green, recipes that try to reach the host, secrets that leak."""
