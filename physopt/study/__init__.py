"""A study: SciPy's `minimize` that remembers what it has solved."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
