"""Suites: what their authors write and declare, and how the harness reads it."""
