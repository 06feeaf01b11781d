"""How solutions move with parameters: against closed forms, and against differences of problems that are solved again."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import HostQuadratic

from physopt import AbstractProblem, Euclidean, Evaluation, Implicit, Stop, minimize, sensitivity, unroll
from physopt.core.sensitivity import STENCIL, conjugate_gradients
from physopt.rules import LBFGS


class Valley(AbstractProblem):
    """A well that is not quadratic, whose minimum is known: `bottom`."""

    bottom: jax.Array
    stiffness: jax.Array
    pull: float | jax.Array = 0.0
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        return jnp.zeros_like(self.bottom)

    def evaluate(self, point):
        def value(x):
            z = x - self.bottom
            return (self.stiffness * jnp.cosh(z)).sum() + 0.5 * z.sum() ** 2 + self.pull * x[0]

        f, grad = jax.value_and_grad(value)(point)
        return Evaluation(f, grad, Euclidean(grad))

    def retract(self, point, step):
        return point + step


def bottom(mu):
    return jnp.stack([mu, mu**2, jnp.sin(mu)])


def valley(mu, stiffness=(1.0, 3.0, 10.0)) -> Valley:
    return Valley(bottom(mu), jnp.array(stiffness))


def solved(mu):
    return minimize(valley(mu), LBFGS(), jnp.ones(3), stop=Stop(grad_norm=1e-9), adjoint=Implicit()).point


def size(point):
    return (point**2).sum()


def test_a_solve_is_differentiated_like_its_closed_form():
    found, expected = (jax.value_and_grad(lambda mu, of=of: size(of(mu)))(0.7) for of in (solved, bottom))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.slow
def test_higher_derivatives_and_batches_are_right_too():
    found, expected = (jax.hessian(lambda mu, of=of: size(of(mu)))(0.7) for of in (solved, bottom))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(solved)(0.7), jax.jacfwd(bottom)(0.7), rtol=1e-7, atol=1e-9)

    def inside(mu):
        best = unroll(valley(mu), LBFGS(), jnp.ones(3), 40)[0].best
        return size(Implicit(grad_norm=1e-6)(valley(mu), best))

    mus = jnp.array([0.1, 0.7])
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(inside)))(mus), jax.vmap(jax.grad(lambda mu: size(bottom(mu))))(mus), rtol=1e-6)


def test_what_has_no_derivative_is_refused():
    with pytest.raises(ValueError, match=r"\|g\| is .* above 1e-06.*converged"):
        Implicit()(valley(0.7), jnp.ones(3))
    with pytest.raises(ValueError, match="ended as 'budget'"):
        minimize(valley(0.7), LBFGS(), jnp.ones(3), stop=Stop(grad_norm=1e-9, max_evaluations=2), adjoint=Implicit())
    with pytest.raises(TypeError, match=r"physopt\.sensitivity"):
        minimize(HostQuadratic(), LBFGS(), HostQuadratic().init(None), adjoint=Implicit())
    with pytest.raises(TypeError, match="use unroll"):
        jax.jit(lambda mu: size(solved(mu)))(0.7)


@pytest.mark.slow
def test_under_a_trace_it_is_refused_when_the_code_runs():
    with pytest.raises(Exception, match="above 1e-06"):
        jax.jit(lambda mu: size(Implicit()(valley(mu), jnp.ones(3))))(0.7)
    with pytest.raises(Exception, match="Hessian is singular"):
        jax.grad(lambda mu: size(Implicit()(Valley(bottom(mu), jnp.array([0.0, 0.0, 1.0])), bottom(0.7))))(0.7)


class Host(AbstractProblem):
    """The same valley for the host."""

    valley: Valley
    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key):
        return np.zeros(3)

    def evaluate(self, point):
        answer = self.valley.evaluate(jnp.asarray(point))
        grad = np.asarray(answer.grad)
        return Evaluation(np.float64(answer.value), grad, Euclidean(grad))

    def retract(self, point, step):
        return point + step


@pytest.mark.parametrize("host", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_any_problem_has_a_sensitivity(host):
    def problem_of(mu):
        return Host(valley(jnp.asarray(mu))) if host else valley(jnp.asarray(mu))

    (tangent,) = sensitivity(problem_of, 0.7, np.asarray(bottom(0.7)) if host else bottom(0.7))
    np.testing.assert_allclose(tangent, jax.jacfwd(bottom)(0.7), rtol=1e-7, atol=1e-9)


def test_each_parameter_of_a_vector_has_a_tangent():
    class Moved(HostQuadratic):
        by: np.ndarray = eqx.field(default_factory=lambda: np.zeros(2))

        def evaluate(self, point):
            shift = np.array([self.by[0], 2.0 * self.by[1], 0.0, self.by[0] * self.by[1]])
            answer = super().evaluate(point - shift)
            return answer

    found = sensitivity(lambda by: Moved(by=by), np.array([0.0, 3.0]), np.array([0.0, 6.0, 0.0, 0.0]))
    np.testing.assert_allclose(found, [[1.0, 0.0, 0.0, 3.0], [0.0, 2.0, 0.0, 0.0]], atol=1e-9)


@pytest.mark.parametrize(
    ("mu", "point", "settings", "error", "message"),
    [
        (0.7, [1.0, 1.0, 1.0], {}, ValueError, "converged"),
        (float("nan"), None, {}, ValueError, "finite"),
        (0.7, None, {"step": 0.0}, ValueError, "above 0"),
        (0.7, None, {"stiffness": (0.0, 0.0, 1.0)}, np.linalg.LinAlgError, "singular|nearly"),
        (0.7, None, {"stiffness": (-3.0, 1.0, 1.0)}, np.linalg.LinAlgError, "not positive definite"),
    ],
)
def test_what_has_no_sensitivity_is_refused(mu, point, settings, error, message):
    stiffness = settings.pop("stiffness", (1.0, 3.0, 10.0))
    point = bottom(0.7) if point is None else jnp.array(point)
    with pytest.raises(error, match=message):
        sensitivity(lambda m: Valley(bottom(0.7), jnp.array(stiffness), jnp.asarray(m) - 0.7), mu, point, **settings)


def test_a_flat_direction_that_nothing_pulls_along_is_left_alone():
    (tangent,) = sensitivity(lambda m: valley(jnp.asarray(m), (0.0, 0.0, 1.0)), 0.7, bottom(0.7))
    np.testing.assert_allclose(tangent[:2].sum(), jax.jacfwd(bottom)(0.7)[:2].sum(), rtol=1e-7)
    np.testing.assert_allclose(tangent[2], jax.jacfwd(bottom)(0.7)[2], rtol=1e-7)


def test_the_differences_are_of_fourth_order():
    assert sum(weight * (1.0 + times + times**2 + times**3 + times**4) for times, weight in STENCIL) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("curvature", [1e-15, 0.0, -1e-15])
def test_a_force_that_pulls_only_where_it_is_flat_is_refused(curvature):
    hessian, force = np.array([1.0, 3.0, curvature]), np.array([0.0, 0.0, 1.0])
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        conjugate_gradients(lambda v: hessian * v, force, lambda r: r, 1e-10)
