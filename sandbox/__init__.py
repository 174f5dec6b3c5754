"""A CI host on one machine, and what tries the product on it; with real parts wherever they are available."""
