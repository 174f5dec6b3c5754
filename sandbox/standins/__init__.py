"""Stand-ins for programs that are not available everywhere: abra and Drone."""
