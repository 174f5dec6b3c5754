"""Reading a .drone.yml as Drone does."""
