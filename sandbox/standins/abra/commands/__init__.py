"""The larger commands of the stand-in for abra, a module each."""
