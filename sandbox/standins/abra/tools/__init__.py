"""Programs that the stand-in for abra drives: child processes, and Docker among them."""
