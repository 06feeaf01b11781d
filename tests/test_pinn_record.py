"""A recorded solution that was stopped goes on to the same answer, bit for bit, and only with the same problem."""

import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
from instances import sampled

import physopt
from physopt.pinn import Boundary, Box, Data, Problem, Start, solve

TOL = 1e-5


def front(nu=0.02, slope=1.0):
    """Build a layer at the end of an interval, which needs several spaces."""
    return Problem(Box(x=(0, 1)), lambda u, nu: -nu * u.xx + slope * u.x - 1, [Boundary(lambda u: u)], nu=nu)


def swing(k=9.0):
    """Build a pendulum, which needs several windows of time."""
    equation = lambda u, v, k: (u.t - v, v.t + k * jnp.sin(u.value))  # noqa: E731
    return Problem(None, equation, [Start(lambda u, v: (u - 2, v.value))], fields="u v", time=(0, 3), k=k)


def decay(k=0.1):
    """Build readings of a decay with an unknown rate, all times of which are solved together."""
    t = np.linspace(0, 2, 12)
    conditions = [Data(lambda u: u, np.exp(-0.7 * t), t=t), Start(lambda u: u - 1)]
    return Problem(None, lambda u, k: u.t + k * u, conditions, time=(0, 12), unknowns={"k": k})


PROBLEMS = {"a front": front, "windows": swing, "readings": decay}


class Stopped(Exception):
    """The run is over."""


def stopped_after(count):
    """Return a callback that ends the run at its `count`-th attempt."""

    def callback(tried):
        nonlocal count
        count -= 1
        if count == 0:
            raise Stopped

    return callback


def stopped(problem, folder, count, **how):
    with pytest.raises(Stopped):
        solve(problem, TOL, record=physopt.Recording(folder, **how), callback=stopped_after(count))


def continued(problem, folder, **how):
    return solve(problem, TOL, record=physopt.Recording(folder, resume=True), **how)


def assert_same(one, other):
    assert (one.error, one.factors, one.size, one.why) == (other.error, other.factors, other.size, other.why)
    assert (one.unknowns, one.deviations) == (other.unknowns, other.deviations)
    points = np.random.default_rng(0).uniform(*np.transpose(one.problem.ends), (50, len(one.problem.ends)))
    np.testing.assert_array_equal(one.at(points), other.at(points))


@pytest.mark.parametrize("name", sampled(PROBLEMS, ("a front", "readings")))
def test_a_stopped_run_goes_on_to_the_same_answer(tmp_path, name):
    tries = []
    whole = solve(PROBLEMS[name](), TOL, callback=tries.append)
    stopped(PROBLEMS[name](), tmp_path, len(tries) // 2 + 1)
    again = []
    assert_same(whole, continued(PROBLEMS[name](), tmp_path, callback=again.append))
    assert len(again) < len(tries)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_run_may_be_stopped_anywhere(tmp_path, name):
    tries = []
    whole = solve(PROBLEMS[name](), TOL, callback=tries.append)
    for count in range(1, len(tries) + 1):
        stopped(PROBLEMS[name](), tmp_path / str(count), count)
        assert_same(whole, continued(PROBLEMS[name](), tmp_path / str(count)))


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_finished_run_returns_its_answer_at_once(tmp_path, name):
    whole = solve(PROBLEMS[name](), TOL, record=tmp_path)
    tries = []
    assert_same(whole, continued(PROBLEMS[name](), tmp_path, callback=tries.append))
    assert not tries


@pytest.mark.parametrize("damage", sampled(["cut short", "a flipped bit", "missing"], ("a flipped bit",)))
def test_a_damaged_file_is_named_and_the_run_goes_on_from_the_one_before(tmp_path, damage):
    whole = solve(swing(), TOL, record=tmp_path)
    file = sorted(tmp_path.iterdir())[-2]
    content = bytearray(file.read_bytes())
    if damage == "a flipped bit":
        content[len(content) // 2] ^= 1
    file.write_bytes(content[: len(content) // 2] if damage == "cut short" else content)
    if damage == "missing":
        file.unlink()
    with pytest.warns(UserWarning, match=r"cannot be read .* goes on from the one before"):
        assert_same(whole, continued(swing(), tmp_path))


@pytest.mark.parametrize(
    ("other", "named"),
    [(lambda: front(nu=0.03), "nu was 0.02, and is 0.03"), (lambda: front(slope=1.1), "the equation, a condition or the readings")],
)
def test_another_problem_is_refused(tmp_path, other, named):
    stopped(front(), tmp_path, 2)
    with pytest.raises(ValueError, match=named):
        continued(other(), tmp_path)


def test_other_readings_and_tolerances_are_refused(tmp_path):
    solve(decay(), TOL, record=tmp_path)
    with pytest.raises(ValueError, match="tol was 1e-05"):
        solve(decay(), 1e-4, record=physopt.Recording(tmp_path, resume=True))
    with pytest.raises(ValueError, match="readings were others"):
        continued(decay(k=0.2), tmp_path)


def test_a_folder_is_never_written_over(tmp_path):
    stopped(front(), tmp_path / "run", 2)
    with pytest.raises(FileExistsError, match="resume=True"):
        solve(front(), TOL, record=tmp_path / "run")
    (tmp_path / "file").write_text("words")
    with pytest.raises(NotADirectoryError, match="Name a folder"):
        solve(front(), TOL, record=tmp_path / "file")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.tex").write_text("words")
    with pytest.raises(FileExistsError, match="something else"):
        continued(front(), tmp_path / "else")


def test_what_would_not_begin_alike_is_refused(tmp_path):
    with pytest.raises(ValueError, match="leave near= and library= out"):
        solve(front(), TOL, record=tmp_path / "run", library=tmp_path / "library")


SCRIPT = """
import sys
sys.path.insert(0, "tests")
import physopt
from test_pinn_record import TOL, solve, swing
answer = solve(swing(k=40.0), TOL, record=physopt.Recording(sys.argv[1], resume=True), callback=lambda tried: print(tried.own, flush=True))
"""


@pytest.mark.slow
def test_kills_at_random_change_nothing(tmp_path):
    rng, count = np.random.default_rng(0), 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(rng.integers(1, 4)):
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(list(tmp_path.glob("0*.h5"))) >= count
        count = len(list(tmp_path.glob("0*.h5")))
    assert count > 5
    assert_same(continued(swing(k=40.0), tmp_path), solve(swing(k=40.0), TOL))
