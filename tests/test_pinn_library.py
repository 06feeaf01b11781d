"""A folder of solved equations: what it holds is what was solved, and only answers of the same equation are begun from."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from physopt.cli import main
from physopt.meta.starts import UnreadableSolveWarning
from physopt.pinn import Boundary, Box, Problem, Start, solve
from physopt.pinn.equations import EQUATIONS
from physopt.pinn.method.library import ForeignAnswerWarning, Library, distance

TOL = 1e-4
STORED = {
    "polynomials and harmonics": EQUATIONS["convection"](beta=5.0),
    "splines": Problem(Box(x=(0, 1)), lambda u, nu: -nu * u.xx + u.x - 1, [Boundary(lambda u: u)], nu=0.005),
    "two fields": Problem(
        None,
        lambda u, v, w: (u.t - w * v, v.t + w * u),
        [Start(lambda u, v: (u - 1, v.value))],
        fields="u v",
        time=(0, 1),
        w=3.0,
    ),
    "an eigenvalue": Problem(
        Box(x=(0, 1)),
        lambda u, E, d: u.xx + E * u + d,
        [Boundary(lambda u: u), Boundary(lambda u: u.x - 1, where=lambda x: x == 0)],
        unknowns={"E": 8.0},
        d=0.0,
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_what_is_read_is_what_was_solved(tmp_path, name):
    problem = STORED[name]
    answer = solve(problem, TOL, library=tmp_path)
    assert answer.converged
    (read,) = Library(tmp_path, problem).near()
    points = np.random.default_rng(0).uniform(*np.transpose(problem.ends), (50, len(problem.ends)))
    np.testing.assert_array_equal(read.at(points), answer.at(points))
    assert (read.error, read.factors, read.unknowns, read.problem.parameters) == (
        answer.error,
        answer.factors,
        answer.unknowns,
        problem.parameters,
    )


def reaction(rho, growth=1.0):
    """Build logistic growth from a point in between, in time alone."""
    return Problem(None, lambda u, rho: u.t - growth * rho * u * (1 - u), [Start(lambda u: u - 0.1)], time=(0, 2), rho=rho)


def test_the_third_problem_costs_less_than_the_first(tmp_path):
    first, _ = (solve(reaction(rho), TOL, library=tmp_path) for rho in (3.0, 4.0))
    third = solve(reaction(3.4), TOL, library=tmp_path)
    exact = 1 / (1 + 9 * np.exp(-3.4 * 2))
    assert third.converged and third(t=2.0) == pytest.approx(exact, rel=1e-4)
    assert third.factors < 0.7 * first.factors
    assert len(Library(tmp_path, reaction(3.4)).near()) == 3


def test_answers_of_another_equation_are_named_and_left_out(tmp_path):
    solve(reaction(3.0, growth=2.0), TOL, library=tmp_path)
    with pytest.warns(ForeignAnswerWarning, match=r"rho = 3 does not solve this equation"):
        answer = solve(reaction(3.0), TOL, library=tmp_path)
    assert answer(t=2.0) == pytest.approx(1 / (1 + 9 * np.exp(-6)), rel=1e-4)


def test_far_answers_are_not_begun_from(tmp_path):
    solve(reaction(0.5), TOL, library=tmp_path)
    assert Library(tmp_path, reaction(3.0)).near() == []
    assert len(Library(tmp_path, reaction(1.4)).near()) == 1


@pytest.mark.parametrize(
    "own, other, apart", [(2.0, 4.0, np.log(2)), (-2.0, -4.0, np.log(2)), (1.0, -1.0, 2.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0)]
)
def test_the_distance_of_parameters(own, other, apart):
    assert distance(reaction(own), reaction(other)) == pytest.approx(apart)


def test_a_damaged_file_is_left_out(tmp_path):
    solve(reaction(3.0), TOL, library=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.warns(UnreadableSolveWarning):
        assert solve(reaction(3.2), TOL, library=tmp_path).converged


def test_a_problem_without_parameters_has_no_library(tmp_path):
    with pytest.raises(ValueError, match="tells problems apart by their parameters"):
        solve(Problem(Box(x=(0, 1)), lambda u, x: u.xx + jnp.sin(x), [Boundary(lambda u: u)]), library=tmp_path)


@pytest.mark.slow
def test_the_command_begins_from_its_library(tmp_path):
    factors = []
    for rho in ("2", "3", "2.5"):
        out = tmp_path / "out.json"
        main(["pinn", "reaction", "--set", f"rho={rho}", "--tol", "1e-3", "--library", str(tmp_path / "solved"), "--json", str(out)])
        factors.append(json.loads(out.read_text())["records"][0]["factors"])
    assert factors[2] < factors[0]
