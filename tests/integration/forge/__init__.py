"""Tests of the bridge with a real Gitea."""
