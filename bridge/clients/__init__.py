"""HTTP clients for the forge and for Drone."""
