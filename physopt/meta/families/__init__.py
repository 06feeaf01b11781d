"""Families of minimizations, most of them from physics, one file each: what a learned start and metric are tested on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
