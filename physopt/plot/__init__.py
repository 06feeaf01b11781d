"""Pictures of runs, fields and comparisons; Matplotlib is loaded when one is drawn."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
