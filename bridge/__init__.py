"""From a comment on a pull request to a Drone build, and back to an answer on the pull request."""
