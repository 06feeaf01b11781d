"""The methods that converge a PySCF mean field: rules, starts and states, behind PySCF's own interface."""
