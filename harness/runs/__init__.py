"""One run: its lock, record and apps, whose fault a failure is, and what clears up dead runs."""
