"""How many threads the model's linear algebra works with."""

import contextlib

from threadpoolctl import ThreadpoolController

EACH = 250  # functions: a matrix of that size keeps one thread busy


def few_threads(functions: int) -> contextlib.AbstractContextManager[object]:
    """Return a `with` block in which NumPy and SciPy use no more threads than matrices of so many functions keep busy.

    Each of them and PySCF's integrals have a pool of threads of their own, and threads that have nothing to do wait busily for a while:
    for small matrices the pools cost more than they give. PySCF's own threads are left alone.
    """
    pools = ThreadpoolController().select(user_api="blas")
    wanted = max(1, round((functions / EACH) ** 2))
    if wanted >= max((pool["num_threads"] for pool in pools.info()), default=1):
        return contextlib.nullcontext()
    return pools.limit(limits=wanted)
