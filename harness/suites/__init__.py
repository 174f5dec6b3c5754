"""What the author of a suite writes and declares, and what the harness makes of it."""
