"""No settings: PySCF reads this instead of a `.pyscf_conf.py` in the working directory, which may belong to somebody else."""
