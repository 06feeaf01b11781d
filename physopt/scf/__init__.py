"""Self-consistent fields: PySCF's mean fields as problems of the core, and methods that need fewer exact Fock builds."""

import lazy_loader

# Loaded when asked for: XYZ files are read without PySCF, which is absent on some platforms.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
