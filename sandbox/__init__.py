"""A CI host on one machine, and commands that try the product on it; real parts are used where available."""
