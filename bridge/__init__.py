"""Bridge between pull-request comments and Drone: starts builds and reports their results."""
