"""How a network is trained: the loop, its stopping on a known error, and its record."""
