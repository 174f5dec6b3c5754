"""The bridge's web server: webhook, health and metrics."""
