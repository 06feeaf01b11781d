"""Methods side by side on the same cases: what each costs, judged from outside."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules={"fe", "scf", "topopt"})
