"""Untrusted tests in bubblewrap: what runs them, their network, their results."""
