"""How a mean field of PySCF is converged: rules, starts and states, behind its own methods."""
