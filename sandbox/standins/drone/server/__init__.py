"""The server's half of the stand-in for Drone."""
