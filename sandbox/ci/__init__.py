"""Drone and the bridge on loopback, and the full stack of forge, Drone and bridge."""
