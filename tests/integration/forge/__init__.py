"""The bridge, with a real Gitea."""
