"""From a comment on a pull request to a decision about it."""
