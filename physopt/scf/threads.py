"""The number of threads of the model's linear algebra."""

import contextlib

from threadpoolctl import ThreadpoolController

EACH = 250  # functions: a matrix of that size keeps one thread busy


def few_threads(functions: int) -> contextlib.AbstractContextManager[object]:
    """Return a `with` block in which NumPy and SciPy use no more threads than matrices of this size need.

    NumPy, SciPy and PySCF's integrals each have their own pool of threads, and idle threads wait busily for a while.
    For small matrices the pools cost more than they gain. PySCF's own threads are not changed.
    """
    pools = ThreadpoolController().select(user_api="blas")
    wanted = max(1, round((functions / EACH) ** 2))
    if wanted >= max((pool["num_threads"] for pool in pools.info()), default=1):
        return contextlib.nullcontext()
    return pools.limit(limits=wanted)
