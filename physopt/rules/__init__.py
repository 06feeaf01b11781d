"""Update rules, which turn an oracle's answers into moves: one algorithm per file."""

import lazy_loader

# The names stand in `__init__.pyi`; loaded when asked for, so that naming one rule does not wait for JAX.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
