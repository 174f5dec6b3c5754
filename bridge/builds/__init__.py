"""From an accepted request to the verdict of its Drone build."""
