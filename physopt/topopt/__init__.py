"""Topology optimization with the SIMP or the RAMP law: the best structure of a given volume."""

import lazy_loader

# Loaded when asked for: a problem file is read, and refused, without JAX.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
