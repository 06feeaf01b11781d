"""What cannot be solved, and what is not determined, is said clearly, with what to write instead."""

import jax.numpy as jnp
import numpy as np
import pytest
from instances import sampled

from physopt.pinn import At, Ball, Boundary, Box, Cloud, Data, Problem, Start, solve
from physopt.pinn.least_squares import Factor

LAYER = Problem(Box(x=(0, 1)), lambda u: -1e-2 * u.xx + u.x - 1, [Boundary(lambda u: u)])


VAGUE = {
    "constant": Problem(Box(x=(0, 1), y=(0, 1)), lambda u: u.laplacian, [Boundary(lambda u: u.normal)]),
    "nothing": Problem(Box(x=(0, 1)), lambda u: u.xx - 1),
    "one end": Problem(Box(x=(0, 1)), lambda u: u.xx - 1, [Boundary(lambda u: u, where=lambda x: x == 0)]),
}


@pytest.mark.parametrize("name", VAGUE)
def test_missing_conditions_are_noticed(name):
    answer = solve(VAGUE[name])
    assert not answer.converged and "more than one solution" in answer.why
    assert answer.factors <= 3  # soon


def test_contradictory_conditions_are_noticed():
    answer = solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u), Boundary(lambda u: u - 1)]))
    assert not answer.converged and "missed" in answer.why


def bratu(k, height):
    """Return Bratu's equation, which has no solution beyond k = 3.5138, with an easy k and readings of a hill or a valley."""
    x, ends = np.linspace(0.1, 0.9, 9), Boundary(lambda u: u)
    readings = Data(lambda u: u, height * np.sin(np.pi * x), x=x)
    return Problem(Box(x=(0, 1)), lambda u, k: u.xx + k * jnp.exp(u.value), [ends, readings], easy={"k": 1.0}, k=k)


@pytest.mark.parametrize("k", [40.0, pytest.param(6.0, marks=pytest.mark.slow)])
def test_readings_that_contradict_the_equation_are_noticed(k):
    answer = solve(bratu(k, 0.1))
    assert not answer.converged and "the readings contradict the equation" in answer.why


@pytest.mark.slow
def test_readings_far_from_the_solution_are_noticed():
    answer = solve(bratu(3.0, -1.0))
    assert "the readings are missed by" in answer.why
    x = np.linspace(0, 1, 101)
    assert abs(answer.derivative("xx", x=x) + 3.0 * np.exp(answer(x=x))).max() < 0.02


@pytest.mark.slow
def test_an_easy_choice_is_no_help_beside_readings():
    with pytest.raises(FloatingPointError, match="no solution from here"):
        solve(bratu(1e4, 0.1))


MEETING = {
    "sides": (
        Problem(
            Box(x=(0, 2), y=(0, 1)),
            lambda u: u.laplacian,
            [Boundary(lambda u, x: u - x, lambda y: y == 0), Boundary(lambda u: u, lambda x, y: (x == 2) | (y == 1))],
        ),
        "at (x = 2, y = 0)",
    ),
    "start": (
        Problem(Box(x=(0, 1)), lambda u: u.t - u.xx, [Start(lambda u, x: u - x), Boundary(lambda u: u)], time=(0, 0.01)),
        "conditions 1, a Start, and 2, a Boundary, contradict each other at (x = 1, t = 0)",
    ),
    "halves of a circle": (
        Problem(
            Ball(1, x=0, y=0),
            lambda u: u.laplacian,
            [Boundary(lambda u: u, lambda y: y > 0), Boundary(lambda u, x: u.normal + u - 1, lambda y: y <= 0)],
        ),
        "",
    ),
    "slopes and values": (
        Problem(
            Box(x=(0, 1), y=(0, 1)),
            lambda u: u.laplacian,
            [Boundary(lambda u, x, y: u.normal - 2 * x + y, lambda x, y: x == 1), Boundary(lambda u, y: u - 1 - y, lambda x: x < 1)],
        ),
        "",
    ),
    "zero but for rounding": (
        Problem(
            Box(x=(0, np.pi)),
            lambda u: u.tt + 2 * u.t + u - u.xx,
            [Start(lambda u, x: u - jnp.sin(x)), Start(lambda u, x: u.t + jnp.sin(x)), Boundary(lambda u: u)],
            time=(0, 3),
        ),
        "",
    ),
    "agreeing sides": (
        Problem(
            Box(x=(0, 1), y=(0, 1)),
            lambda u: u.laplacian,
            [Boundary(lambda u, x: u - x**2, lambda y: y == 0), Boundary(lambda u, x, y: u - x**2 + y**2, lambda y: y > 0)],
        ),
        "",
    ),
}


@pytest.mark.parametrize("name", MEETING)
def test_conditions_that_contradict_each_other_where_they_meet_are_named(name):
    problem, words = MEETING[name]
    why = solve(problem, 1e-6 if name.startswith("zero") else 0.1, largest=300).why
    assert words in why and ("contradict each other" in why) == bool(words)


REFUSED = {
    "no start": (lambda: Problem(None, lambda u: u.t + u, time=(0, 1)), "the start has 0 conditions"),
    "one start": (lambda: Problem(None, lambda u: u.tt + u, [Start(lambda u: u - 1)], time=(0, 1)), "order 2 in time"),
    "complex": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx + 1j * u), "two real ones"),
    "names with commas": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx, fields="u,v"), "in one string"),
    "empty ring": (lambda: solve(Problem(Ball(0.3, x=0, y=0) - Ball(0.5, x=0, y=0), lambda u: u.laplacian)), "empty"),
    "function of a field": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx - jnp.sin(u)), "u.value"),
    "function of NumPy": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx - np.sin(u)), "u.value"),
    "blow-up": (
        lambda: solve(Problem(None, lambda u: u.t - u * u, [Start(lambda u: u - 1)], time=(0, 2))),
        "beyond t = 0.99999|beyond t = 1",
    ),
    "empty box": (lambda: Box(x=(1, 0)), "smaller one first"),
    "no overlap": (lambda: Ball(1, x=0, y=0) & Ball(1, x=9, y=0), "do not overlap"),
    "other names": (lambda: Ball(1, x=0, y=0) | Ball(1, x=9, z=0), "must be the same"),
    "no coordinates": (lambda: Problem(None, lambda u: u), "no coordinates"),
    "time backwards": (lambda: Problem(None, lambda u: u.t, time=(1, 0)), "the earlier first"),
    "argument": (lambda: Problem(Box(x=(0, 1)), lambda u, mu: u.xx - mu), "asks for 'mu'"),
    "coordinate": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xy), "none of the coordinates x"),
    "two meanings": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx, u=1.0), "two meanings"),
    "numpy": (lambda: Problem(Box(x=(0, 1)), lambda u, x: u.xx - np.sin(x)), "jax.numpy"),
    "start without time": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Start(lambda u: u)])), "needs a time"),
    "nowhere": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u, where=lambda x: x == 3)])), "no points"),
    "nan": (lambda: solve(Problem(Box(x=(0, 1)), lambda u, x: u.xx - jnp.log(-x), [Boundary(lambda u: u)])), "not finite"),
    "tolerance": (lambda: solve(LAYER, 0.0), "1e-6"),
    "readings": (lambda: Data(lambda u: u, [1.0, np.nan], x=[0.0, 1.0]), "finite number each"),
    "place": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [At(lambda u: u, y=0.0)])), "no coordinate"),
    "parameter": (lambda: LAYER.at(nu=1.0), "no parameter"),
    "text": (lambda: Problem(Box(x=(0, 1)), lambda u, k: k * u.xx, k="thick"), "no finite number"),
    "place outside": (lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [At(lambda u: u, x=[0.0, 5.0])])), "x = 5 is outside"),
    "reading too late": (lambda: solve(Problem(None, lambda u: u.t, [Data(lambda u: u, [1.0, 1.0], t=[0, 3])], time=(0, 2))), "t = 3 is"),
    "unknown nowhere": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx, unknowns={"k": 1.0}), "appears in no function"),
    "field nowhere": (lambda: Problem(Box(x=(0, 1)), lambda u: u.xx, fields="u v"), "appears in no function"),
    "where with and": (
        lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u, where=lambda x: x == 0 and x < 1)])),
        "with brackets",
    ),
    "where of another name": (
        lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u, where=lambda z: z == 0)])),
        "asks for 'z'",
    ),
    "guess of two": (
        lambda: solve(Problem(Box(x=(0, 1)), lambda u: u.xx, [Boundary(lambda u: u)], guess=lambda x: (x, x))),
        "2 parts, and there are 1 fields",
    ),
    "cloud": (lambda: Cloud(("x", "y"), np.zeros((3, 3)), np.zeros((3, 2))), "shape"),
}


@pytest.mark.parametrize("name", sampled(REFUSED, REFUSED.keys() - {"blow-up"}))
def test_bad_input_is_refused_with_what_to_write_instead(name, monkeypatch):
    build, words = REFUSED[name]
    factorized, begin = [], Factor.__init__
    monkeypatch.setattr(Factor, "__init__", lambda factor, *given: (factorized.append(0), begin(factor, *given))[1])
    with pytest.raises((ValueError, TypeError, AttributeError, FloatingPointError), match=words):
        build()
    assert name == "blow-up" or not factorized  # before any work
