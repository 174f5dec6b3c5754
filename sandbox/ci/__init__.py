"""Drone and the bridge on loopback, and the whole of it together with the forge."""
