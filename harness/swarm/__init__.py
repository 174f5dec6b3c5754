"""Docker Swarm, abra, the proxy and the backup bot, seen and driven from outside."""
