"""The exec runner: takes stages from the server and runs their steps."""
