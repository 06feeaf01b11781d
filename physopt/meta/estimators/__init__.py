"""Gradients of a meta-loss with respect to a rule's weights: one estimator a file, all with the interface of `AbstractEstimator`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
