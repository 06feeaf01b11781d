"""Many problems on many workers: any executor of PEP 3148, each result recorded once."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
