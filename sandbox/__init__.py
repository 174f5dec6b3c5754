"""A whole CI host on one machine: what the real one has, real where it can be."""
