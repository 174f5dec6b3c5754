"""The programs that the stand-in for abra drives: Docker and git."""
