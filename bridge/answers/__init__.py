"""What the bridge publishes on the pull request: messages, comments, commit statuses."""
