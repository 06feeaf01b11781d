"""Meta-learning: families of problems, gradients of a meta-loss with respect to a rule's weights, and the loop that trains them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
