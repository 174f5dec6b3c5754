"""Clients for Docker Swarm, abra, the proxy and the backup bot."""
