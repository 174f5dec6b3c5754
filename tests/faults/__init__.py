"""Faults: killed processes, signals, concurrent runs, host problems, misbehaving applications."""
