"""What a solved neighbour, or an easy choice of the parameters, is worth: the same answer for fewer systems."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from instances import sampled
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from physopt.pinn import Boundary, Box, Data, Problem, Start, solve
from physopt.pinn.equations import EQUATIONS
from physopt.pinn.method.near import is_linear, neighbours

LINEAR = {"poisson", "heat", "helmholtz", "convection", "wave"}
FAMILIES = {
    "reaction": ("rho", (2.0, 4.0), 3.0, 1e-4, 0.5),
    "helmholtz": ("k", (2.0, 3.0), 2.5, 1e-5, 0.7),
}


@functools.cache
def solved(name, key, value, tol):
    return solve(EQUATIONS[name](**{key: value}), tol)


@pytest.mark.parametrize("name", sampled(FAMILIES, ("reaction",)))
def test_a_neighbour_saves_systems_and_changes_no_answer(name):
    key, anchors, value, tol, share = FAMILIES[name]
    cold = solved(name, key, value, tol)
    problem = EQUATIONS[name](**{key: value})
    near = solve(problem, tol, near=[solved(name, key, anchor, tol) for anchor in anchors])
    assert cold.converged and near.converged
    assert near.factors <= share * cold.factors
    assert near.true_error() < tol


def test_a_far_neighbour_is_no_obstacle():
    answer = solve(EQUATIONS["reaction"](rho=8.0), 1e-4, near=solved("reaction", "rho", 2.0, 1e-4))
    assert answer.converged and answer.true_error() < 1e-4


def test_the_nearest_of_several_comes_first():
    answers = [solved("reaction", "rho", value, 1e-4) for value in (3.0, 4.0, 2.0)]
    order = [answer.problem.parameters["rho"] for answer in neighbours(EQUATIONS["reaction"](rho=2.1), answers).answers]
    assert order == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "other, word",
    [
        (Problem(Box(x=(0, 1)), lambda v: v.xx + 1, [Boundary(lambda v: v)], fields="v"), "fields"),
        (Problem(Box(x=(0, 2)), lambda u: u.xx + 1, [Boundary(lambda u: u)]), "ends"),
        (Problem(Box(y=(0, 1)), lambda u: u.yy + 1, [Boundary(lambda u: u)]), "coordinates"),
    ],
)
def test_an_answer_to_something_else_is_refused(other, word):
    problem = Problem(Box(x=(0, 1)), lambda u: u.xx + 2, [Boundary(lambda u: u)])
    with pytest.raises(ValueError, match=word):
        solve(problem, near=solve(other))


def test_neighbours_of_readings_are_refused():
    readings = Data(lambda u: u, [1.0, 0.5], t=[0.0, 1.0])
    read = Problem(None, lambda u, k, a: u.t + a * k * u, [readings], time=(0, 1), unknowns={"k": 1.0}, a=1.0)
    with pytest.raises(ValueError, match=r"leave near= and library= out"):
        solve(read, 1e-3, library="folder")


@pytest.mark.parametrize("name", EQUATIONS)
def test_linear_problems_are_known(name):
    assert is_linear(EQUATIONS[name]()) == (name in LINEAR)


def test_a_condition_may_be_what_is_not_linear():
    assert not is_linear(Problem(None, lambda u: u.t + u, [Start(lambda u: u**2 - 1)], time=(0, 1)))


def troesch(k, easy):
    """Build Troesch's problem, where Newton's method fails from k = 8 on."""
    return Problem(Box(x=(0, 1)), lambda u, k: u.xx - k * jnp.sinh(k * u.value), [Boundary(lambda u, x: u - x)], easy=easy, k=k)


def slope_at_zero(k):
    """Return Troesch's slope at 0: the initial value problem reaches 1 at 1."""

    def missed(slope):
        end = solve_ivp(
            lambda x, y: [y[1], k * np.sinh(k * y[0])], (0, 1), [0, slope], rtol=1e-11, atol=1e-14, events=lambda x, y: y[0] - 1.5
        )
        return end.y[0, -1] - 1 if end.t[-1] == 1 else 0.5

    return brentq(missed, 8 * np.exp(-k) * 0.9, 8 * np.exp(-k) * 1.1, xtol=1e-16)


@pytest.mark.slow
def test_the_way_from_an_easy_parameter_leads_to_the_solution():
    with pytest.raises(FloatingPointError, match="no solution from here"):
        solve(troesch(10.0, None), 1e-4)
    told = []
    answer = solve(troesch(10.0, {"k": 1.0}), 1e-4, callback=told.append)
    assert answer.converged
    assert answer.derivative("x", 0.0) == pytest.approx(slope_at_zero(10.0), rel=1e-4)
    assert answer.factors > len(told)


@pytest.mark.slow
def test_a_way_that_ends_says_where():
    """Bratu's equation has no solution beyond 3.5138."""
    problem = Problem(Box(x=(0, 1)), lambda u, k: u.xx + k * jnp.exp(u.value), [Boundary(lambda u: u)], easy={"k": 1.0}, k=6.0)
    with pytest.raises(FloatingPointError, match=r"k = 3\.[45]"):
        solve(problem)


def test_an_easy_choice_that_is_not_easy_is_named():
    with pytest.raises(FloatingPointError, match="even with k = 12"):
        solve(troesch(14.0, {"k": 12.0}), 1e-4)


def test_an_easy_choice_names_parameters():
    with pytest.raises(ValueError, match="'mu' is no parameter"):
        Problem(Box(x=(0, 1)), lambda u, nu: u.xx - nu, [Boundary(lambda u: u)], easy={"mu": 1.0}, nu=2.0)
