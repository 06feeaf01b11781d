"""The suite is as strict as it claims: a switch that silently went off would let everything else pass."""

import warnings

import beartype
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float

from physopt.core.stop import Stop
from physopt.scf.xyz import Molecule


def test_shapes_are_checked_when_functions_are_called():
    with pytest.raises(jaxtyping.TypeCheckError):
        Molecule(("H",), np.zeros((1, 2)))


def test_types_are_checked_when_functions_are_called():
    with pytest.raises(jaxtyping.TypeCheckError):
        Stop(max_evaluations="ten")  # type: ignore[arg-type]


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="loud"):
        warnings.warn("loud", UserWarning, stacklevel=1)


def test_float64_is_on():
    assert jnp.asarray(1.0).dtype == jnp.float64
    assert jax.config.read("jax_enable_x64")


def test_inner_functions_are_checked_at_every_definition():
    def made(scale):
        @jaxtyping.jaxtyped(typechecker=beartype.beartype)
        def scaled(x: Float[np.ndarray, " n"], times: int) -> Float[np.ndarray, " n"]:
            return x if times == 0 else scale * scaled(x, times - 1)

        return scaled

    for scale in (2.0, 3.0):
        assert made(scale)(np.ones(1), 2) == scale**2
        with pytest.raises(jaxtyping.TypeCheckError):
            made(scale)(np.ones((1, 1)), 2)
        assert made(scale)(np.ones(1), 3) == scale**3
