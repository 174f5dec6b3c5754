"""What the harness, the bridge and other readers of runs share; imports nothing else of this project."""
