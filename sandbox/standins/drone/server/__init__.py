"""The Drone server: its HTTP interface, builds, logs, and what is stored of them."""
