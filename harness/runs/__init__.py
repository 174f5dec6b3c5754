"""Runs: locks, records and apps, whose fault a failure is, and the removal of what dead runs left."""
