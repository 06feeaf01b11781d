"""Self-consistent fields of PySCF as problems of the core."""
