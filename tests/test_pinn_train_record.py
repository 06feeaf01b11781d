"""A recorded training that was stopped goes on to the same weights, bit for bit, and only with the same problem."""

import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from instances import sampled
from jax.flatten_util import ravel_pytree

import physopt
from physopt import pinn
from physopt.pinn.method import progress, record, train as method
from physopt.rules.model_step import ModelStep

STEPS = 24  # two estimates, and an end between


def decay(rate=1.0, size=1.0, power=1, end=1):
    """Return u' + rate u^power = 0, u(0) = size."""
    start = pinn.Start(lambda u: u - size)
    return pinn.Problem(None, lambda u, rate: u.t + rate * u.value**power, [start], time=(0, end), rate=rate)


def readings(k=0.1):
    """Return readings of a decay with an unknown rate."""
    t = np.linspace(0.0, 1.0, 9)
    return pinn.Problem(None, lambda u, k: u.t + k * u, [pinn.Data(lambda u: u, np.exp(-t), t=t)], time=(0, 1), unknowns={"k": k})


PROBLEM, MARCHED, READ = decay(), decay(2.0), readings()
HOW = {"cold": (PROBLEM, {}), "march": (MARCHED, {"easy": {"rate": 0.5}}), "readings": (READ, {"physics_weight": 2.0})}


def train(problem=PROBLEM, tol=1e-9, record=None, **how):
    return pinn.train(problem, tol, record=record, **{"width": 5, "depth": 1, "steps": STEPS, **how})


def continued(folder, problem=PROBLEM, **how):
    return train(problem, record=physopt.Recording(folder, resume=True), **how)


def files(folder):
    return sorted(folder.glob("*.pinn.h5"))


def assert_same(one, other):
    flat, again = (np.asarray(ravel_pytree(each.answer.pieces[0].point)[0]) for each in (one, other))
    assert flat.tobytes() == again.tobytes()
    assert (one.start, one.steps) == (other.start, other.steps)
    np.testing.assert_equal(one.answer.pieces[0].defect.coefficients, other.answer.pieces[0].defect.coefficients)
    for name in ("error", "why", "converged", "unknowns", "factors", "size"):
        assert getattr(one.answer, name) == getattr(other.answer, name), name


@pytest.fixture(scope="module")
def whole():
    """Return a training that was not recorded."""
    return train()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Return the folder of a training with a file for each step."""
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "EVERY", -1.0)
        train(record=folder)
    return folder


@pytest.mark.parametrize("written", sampled(range(STEPS + 2), (0, 1, 13, 21, STEPS + 1)))
def test_a_training_that_was_stopped_after_any_file_goes_on_to_the_same_weights(tmp_path, whole, full, written):
    assert len(files(full)) == STEPS + 2  # what was asked for, the start, and each step
    for file in files(full)[: written + 1]:
        shutil.copy(file, tmp_path)
    told = []
    assert_same(whole, continued(tmp_path, callback=lambda count, trained: told.append(count)))
    assert told == [*range(max(written, 1), STEPS + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", HOW)
def test_any_training_may_be_stopped_at_any_step(tmp_path, name):
    problem, how = HOW[name]
    whole = train(problem, **how)
    for count in range(1, STEPS + 1):

        def stop(total, trained, left=[count]):  # noqa: B006
            left[0] -= 1
            if not left[0]:
                raise InterruptedError

        folder = tmp_path / str(count)
        with pytest.raises(InterruptedError):
            train(problem, record=folder, callback=stop, **how)
        assert_same(whole, continued(folder, problem, **how))


def test_files_are_written_at_the_start_at_estimates_and_at_the_end(tmp_path, whole):
    estimates = []
    callback = lambda count, trained: estimates.append(trained.defect is not None)  # noqa: E731
    assert_same(whole, train(record=tmp_path, callback=callback))
    assert len(files(tmp_path)) == 3 + sum(estimates) and sum(estimates) == 1


def test_a_training_that_ended_returns_its_answer_at_once_and_goes_on_with_more_steps(tmp_path, whole):
    short = train(record=tmp_path, steps=7)
    told = []
    assert_same(short, continued(tmp_path, steps=7, callback=lambda count, trained: told.append(count)))
    assert not told
    assert_same(whole, continued(tmp_path))


@pytest.mark.parametrize("end", sampled(["the tolerance", "the callback", "no progress"], ("the callback",)))
def test_an_end_is_an_end_with_more_steps_too(tmp_path, end, monkeypatch):
    tol = {"the tolerance": 1e-3}.get(end, 1e-15)
    callback = (lambda count, trained: count >= 3) if end == "the callback" else None
    if end == "no progress":
        monkeypatch.setattr(progress, "STALLED", 1)  # four estimates in a row without any take thousands of steps
    ended = train(record=tmp_path, tol=tol, steps=1000, callback=callback)
    assert ended.steps < 1000
    assert ("does not help" in ended.answer.why) == (end == "no progress")
    assert_same(ended, continued(tmp_path, tol=tol, steps=2000))


@pytest.mark.parametrize("damage", sampled(["cut short", "a flipped bit", "words"], ("a flipped bit",)))
def test_a_damaged_file_is_named_and_the_training_goes_on_from_the_one_before(tmp_path, whole, full, damage):
    for file in files(full)[:12]:
        shutil.copy(file, tmp_path)
    last = files(tmp_path)[-1]
    content = bytearray(last.read_bytes())
    if damage == "a flipped bit":
        content[len(content) // 2] ^= 1
    last.write_bytes(content[: len(content) // 2] if damage == "cut short" else b"words" if damage == "words" else content)
    told = []
    with pytest.warns(UserWarning, match=rf"{last.name} cannot be read .* goes on from the one before"):
        assert_same(whole, continued(tmp_path, callback=lambda count, trained: told.append(count)))
    assert told[0] == 10


def test_only_the_newest_file_is_needed(tmp_path, whole, full):
    for file in (files(full)[0], files(full)[11]):
        shutil.copy(file, tmp_path)
    assert_same(whole, continued(tmp_path))
    assert files(tmp_path)[-1].name == "000013.pinn.h5"  # the estimate at the 20th step and the end are written after the 11th file


OTHER = {
    "parameter": ({"problem": decay(1.5)}, "rate was 1.0, and is 1.5"),
    "equation": ({"problem": decay(power=2)}, "the equation, a condition or the readings were others"),
    "condition": ({"problem": decay(size=2.0)}, "the equation, a condition or the readings were others"),
    "time": ({"problem": decay(end=2)}, "the equation, a condition or the readings were others"),
    "tol": ({"tol": 1e-8}, "tol was 1e-09, and is 1e-08"),
    "seed": ({"seed": 1}, "seed was 0, and is 1"),
    "width": ({"width": 6}, "width was 5, and is 6"),
    "depth": ({"depth": 2}, "depth was 1, and is 2"),
    "points": ({"points": 500}, "points was 1000, and is 500"),
    "weight": ({"boundary_weight": 3.0}, "boundary_weight was 1.0, and is 3.0"),
    "easy": ({"easy": {"rate": 0.5}}, "easy rate was None, and is 0.5"),
}


@pytest.mark.parametrize("name", OTHER)
def test_another_training_is_refused_by_name(full, name):
    how, named = OTHER[name]
    before = [file.read_bytes() for file in files(full)]
    with pytest.raises(ValueError, match=f"another problem: {named}"):
        continued(full, **how)
    assert [file.read_bytes() for file in files(full)] == before


def test_other_readings_and_a_parameter_that_is_called_as_a_setting_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(method, "levenberg", lambda *_, **__: iter(()))  # no step is made, and nothing compiled
    with pytest.raises(StopIteration):
        train(READ, record=tmp_path / "readings")
    with pytest.raises(ValueError, match="the readings were others"):
        continued(tmp_path / "readings", readings(k=0.2))
    wide = pinn.Problem(None, lambda u, width: u.t + width * u, [pinn.Start(lambda u: u - 1)], time=(0, 1), width=2.0)
    with pytest.raises(StopIteration):
        train(wide, record=tmp_path / "wide")
    with pytest.raises(ValueError, match=r"parameter width was 2.0, and is 3.0\."):
        continued(tmp_path / "wide", wide.at(width=3.0))


def test_a_solution_and_a_training_are_told_apart(tmp_path):
    pinn.solve(PROBLEM, 1e-4, record=tmp_path)
    with pytest.raises(ValueError, match="largest was 2600, and is None"):
        continued(tmp_path, tol=1e-4)


def test_a_folder_is_never_written_over(tmp_path, full):
    with pytest.raises(FileExistsError, match="resume=True"):
        train(record=full)
    (tmp_path / "file").write_text("words")
    with pytest.raises(NotADirectoryError, match="Name a folder"):
        train(record=tmp_path / "file")
    with pytest.raises(FileExistsError, match="something else"):
        continued(tmp_path)


def test_one_process_writes_at_a_time(tmp_path):
    def callback(count, trained):
        with pytest.raises(BlockingIOError, match="being written by another process"):
            continued(tmp_path)
        return True

    assert train(record=tmp_path, callback=callback).steps == 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda folder: {"library": folder / "library"}, "leave near= and library= out"),
        (lambda folder: {"near": pinn.train(PROBLEM, width=5, depth=1, steps=1).answer}, "leave near= and library= out"),
        (lambda folder: {"rule": ModelStep()}, r"leave rule= out, or write physopt\.minimize"),
        (lambda folder: {"easy": {"rte": 0.5}}, "'rte' is no parameter"),
        (lambda folder: {"steps": 0}, "steps is 0"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_the_folder_is_made(tmp_path, how, message):
    with pytest.raises(ValueError, match=message):
        train(record=tmp_path / "run", **how(tmp_path))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_the_refusal_of_a_rule_advises_is_a_record(tmp_path):
    with jax.enable_x64(True):
        network, other = (pinn.Network.of(problem, width=5, depth=1) for problem in (PROBLEM, decay(1.5)))
        point = network.init(jax.random.key(0))
        physopt.minimize(network, ModelStep(), point, record=tmp_path, stop=physopt.Stop(max_evaluations=5))
        assert physopt.runs.load(tmp_path).num_records == 5
        with pytest.raises(ValueError, match=r"parameters\[0\] was 1.0, is 1.5"):
            physopt.minimize(other, ModelStep(), point, record=physopt.Recording(tmp_path, resume=True))


@pytest.mark.slow
def test_solve_records_the_network_that_it_trains_beyond_three_coordinates(tmp_path):
    box = pinn.Box(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1))
    problem = pinn.Problem(box, lambda u: u.laplacian - 1.0, [pinn.Boundary(lambda u: u)])
    tries = []
    whole = pinn.solve(problem, 0.3, callback=tries.append)
    recorded = pinn.solve(problem, 0.3, record=tmp_path)
    kept = files(tmp_path)
    kept[-1].unlink()
    again = pinn.solve(problem, 0.3, record=physopt.Recording(tmp_path, resume=True))
    for other in (recorded, again):
        assert (whole.error, whole.why, whole.factors) == (other.error, other.why, other.factors)


SCRIPT = """
import sys
sys.path.insert(0, "tests")
import physopt
from test_pinn_train_record import KILLED, continued, record
record.EVERY = -1.0
continued(sys.argv[1], callback=lambda count, trained: print(count, flush=True), **KILLED)
"""
KILLED = {"problem": MARCHED, "easy": {"rate": 0.5}, "steps": 150, "tol": 1e-13}


@pytest.mark.slow
def test_kills_at_random_change_nothing(tmp_path):
    rng, count = np.random.default_rng(0), 0
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(rng.integers(0, 20)):
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(files(tmp_path)) >= count
        count = len(files(tmp_path))
    assert 20 < count < KILLED["steps"]
    assert_same(continued(tmp_path, **KILLED), train(**KILLED))
