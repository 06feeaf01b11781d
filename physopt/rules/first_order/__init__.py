"""Learned rules of first order, for networks: Optax transformations with weights, one rule a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
