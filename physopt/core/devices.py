"""Arrays laid out over several devices of one machine."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def sharded(tree: PyTree, devices: Sequence[Any] | None = None) -> PyTree:
    """Lay the first axis of all arrays out over devices; what `jax.vmap` makes of them is then computed there, side by side.

    **Arguments:**

    - `tree`: arrays whose first axis counts tasks or particles. `devices`: by default all that JAX has.

    **Raises:** `ValueError` for a length that is not a multiple of the number of devices.
    """
    places = over(jax.devices() if devices is None else devices)
    lengths = sorted({np.shape(leaf)[:1] for leaf in jax.tree.leaves(tree)})
    number = places.mesh.size
    if any(not length or length[0] % number for length in lengths):
        said = ", ".join("a bare number" if not length else str(length[0]) for length in lengths)
        raise ValueError(f"{number} devices cannot share arrays of length {said}: write a multiple of {number}.")
    return jax.device_put(tree, places)


def over(devices: Sequence[Any]) -> NamedSharding:
    """Return the sharding of first axes over devices."""
    return NamedSharding(Mesh(np.array(devices), ("tasks",)), PartitionSpec("tasks"))
