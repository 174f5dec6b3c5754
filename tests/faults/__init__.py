"""What the runner survives: deaths, signals, crowds, trouble of the host, and applications that misbehave."""
