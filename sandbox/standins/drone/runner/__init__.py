"""The exec runner's half of the stand-in for Drone."""
