"""Parsing a `.drone.yml` as Drone does."""
