"""Compare methods on the same cases: the cost of each, judged from outside."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules={"fe", "learn", "scf", "topopt"})
