"""Learned starts: what the maps reproduce exactly, what leave-one-out says, when a start is doubted, and what lies in a folder."""

import warnings

import numpy as np
import pytest

from physopt.core.trajectory import UnreadableRunError, read_arrays, write_arrays
from physopt.meta.starts import (
    Curvature,
    Folder,
    Kernel,
    Modes,
    Process,
    Scaling,
    Solve,
    Starts,
    UnreadableSolveWarning,
    affine_weights,
    named_like,
    task_of,
)
from physopt.meta.starts.solve import FILE_KIND


def curve(tasks):
    """Return solutions that are a smooth function of two numbers, and their derivatives, shape (n, 2, 3)."""
    a, b = tasks.T
    points = np.stack([np.sin(a) * b, np.exp(0.3 * a - 0.2 * b), a * b**2], 1)
    bell = np.exp(0.3 * a - 0.2 * b)
    slopes = np.stack([np.stack([np.cos(a) * b, 0.3 * bell, b**2], 1), np.stack([np.sin(a), -0.2 * bell, 2 * a * b], 1)], 1)
    return points, slopes


TASKS = np.random.default_rng(0).uniform(0.0, 1.0, (12, 2))
UNSEEN = np.random.default_rng(1).uniform(0.1, 0.9, (20, 2))


def test_covariances_of_slopes_are_derivatives():
    random = np.random.default_rng(2)
    a, b = random.normal(size=(3, 2)), random.normal(size=(4, 2))
    for length in (1.7, np.inf):
        kernel = Kernel(np.array([0.8, 1.3]), 2.0, length, 0.0)
        whole = kernel.of(a, b, slopes=True, known=True).reshape(3, 3, 4, 3)
        step = 1e-5
        for k, axis in enumerate(np.eye(2) * step / kernel.scales):
            left = (kernel.of(a + axis, b, slopes=False, known=True) - kernel.of(a - axis, b, slopes=False, known=True)) / (2 * step)
            np.testing.assert_allclose(whole[:, 1 + k], left.reshape(3, 4, 3), rtol=1e-6, atol=1e-6)
            right = (kernel.of(a, b + axis, slopes=True, known=False) - kernel.of(a, b - axis, slopes=True, known=False)) / (2 * step)
            np.testing.assert_allclose(whole[..., 1 + k], right.reshape(3, 3, 4), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sloped", [False, True])
def test_leave_one_out_is_what_leaving_one_out_gives(sloped):
    points, slopes = curve(TASKS)
    slopes[3] = np.nan  # one without tangents
    process = Process(TASKS, points, slopes if sloped else None)
    for i in (0, 3, 7):
        rest = np.delete(np.arange(len(TASKS)), i)
        # The same kernel and mean on the other solves, by the textbook's formula with one solve fewer.
        kept = np.isfinite(slopes[rest]).all(2) if sloped else np.ones((len(rest), 0), bool)
        mask = np.concatenate([np.ones((len(rest), 1), bool), kept], 1).ravel()
        gram = process.kernel.of(TASKS[rest], TASKS[rest], slopes=sloped, known=sloped)[np.ix_(mask, mask)]
        whole = process.kernel.of(TASKS, TASKS, slopes=sloped, known=sloped)
        whole_mask = np.concatenate([np.ones((12, 1), bool), np.isfinite(slopes).all(2) if sloped else np.ones((12, 0), bool)], 1).ravel()
        jitter = 1e-12 * np.trace(whole[np.ix_(whole_mask, whole_mask)]) / whole_mask.sum() + 10.0 * process.kernel.nugget
        factors = np.concatenate([[1.0], process.kernel.scales]) if sloped else np.ones(1)
        centred = (points[rest] - points.mean(0))[:, None]
        rows = np.concatenate([centred, slopes[rest]], 1) if sloped else centred
        rows = (rows / factors[:, None]).reshape(-1, 3)[mask]
        row = process.kernel.of(TASKS[i][None], TASKS[rest], slopes=False, known=sloped)[0, mask]
        guess = points.mean(0) + row @ np.linalg.solve(gram + jitter * np.eye(len(gram)), rows)
        np.testing.assert_allclose(process.left_out()[i], guess, rtol=1e-5, atol=1e-7)
        assert process.errors[i] == pytest.approx(np.linalg.norm(guess - points[i]), rel=1e-4, abs=1e-7)


def test_tangents_and_smoothness_pay():
    points, slopes = curve(TASKS)
    starts = Starts(TASKS, points, list(slopes.transpose(0, 2, 1)))
    exact = curve(UNSEEN)[0]
    guesses = {name: np.stack([starts(task, name).point for task in UNSEEN]) for name in starts.errors}
    wrong = {name: np.linalg.norm(guess - exact, axis=1).mean() for name, guess in guesses.items()}
    assert wrong["tangents"] < 0.2 * wrong["values"] < 0.2 * wrong["nearest"]
    assert wrong["tangent"] < wrong["nearest"] and wrong["span"] < wrong["nearest"]
    assert starts.chosen == "tangents" == min(wrong, key=lambda name: wrong[name])
    # The estimate is of the right size.
    assert 0.2 < starts.errors["nearest"] / wrong["nearest"] < 5.0


def test_polynomial_and_span_are_exact_where_they_should_be():
    tasks = np.random.default_rng(3).normal(size=(15, 2))
    quadratic = np.stack([1 + tasks[:, 0] - 2 * tasks[:, 1] + tasks[:, 0] * tasks[:, 1] + 3 * tasks[:, 0] ** 2, tasks.sum(1)], 1)
    task = np.array([0.3, -0.4])
    exact = np.array([1 + 0.3 + 0.8 - 0.12 + 0.27, -0.1])
    starts = Starts(tasks, quadratic)
    np.testing.assert_allclose(starts(task, "polynomial").point, exact, atol=1e-6)
    weights = affine_weights(tasks[:5], task)
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights @ tasks[:5], task, atol=1e-12)
    np.testing.assert_allclose(Starts(tasks, tasks[:, :1] @ [[2.0, 1.0]])(task, "span").point, [0.6, 0.3], atol=1e-12)


def test_a_start_is_doubted_without_a_call():
    points, _ = curve(TASKS)
    starts = Starts(TASKS, points)
    assert starts(UNSEEN[0]).doubt == "" and starts(TASKS[0]).doubt == ""
    assert "far" in starts(np.array([40.0, 0.5])).doubt
    shuffled = Starts(TASKS, np.random.default_rng(4).permutation(points))
    assert "leaving one run out" in shuffled(UNSEEN[0]).doubt
    fixed = np.concatenate([TASKS, np.full((12, 1), 2.0)], 1)
    assert Starts(fixed, points)(np.array([*UNSEEN[0], 2.0])).doubt == ""
    assert "all recorded tasks agree" in Starts(fixed, points)(np.array([*UNSEEN[0], 2.1])).doubt


def test_hessians_are_interpolated_and_stay_positive():
    random = np.random.default_rng(5)
    frame = np.linalg.qr(random.normal(size=(6, 6)))[0]

    def hessian(task):
        values = np.logspace(-2, 2, 6) * np.exp(task[0] * np.linspace(-1, 1, 6))
        values[0] = 0.0  # a rigid motion
        turned = np.linalg.qr(np.eye(6) + 0.1 * task[1] * np.tri(6))[0]
        return turned @ frame @ np.diag(values) @ frame.T @ turned.T

    curvature = Curvature(TASKS, np.stack([hessian(t) for t in TASKS]))
    assert curvature.trusted and curvature.gain > 100.0
    for task in [*UNSEEN[:5], np.array([50.0, -50.0])]:
        assert (np.linalg.eigvalsh(curvature.inverse(task)) > 0.0).all()
    stiff = np.linalg.eigvalsh(curvature.inverse(UNSEEN[0]) @ hessian(UNSEEN[0]))
    assert np.sort(np.abs(stiff))[1:] == pytest.approx(np.ones(5), abs=0.2)
    # Hessians that have nothing to do with the tasks are not believed.
    random_ones = [r @ r.T for r in random.normal(size=(12, 6, 6))]
    assert not Curvature(TASKS, np.stack(random_ones)).trusted


def test_tasks_by_name():
    task = task_of({"b": 2, "a": [[1.0, 2.0]], "kind": "steel", "open": True}, 7)
    np.testing.assert_array_equal(task.vector, [1.0, 2.0, 2.0])
    assert task == task._replace(vector=task.vector) and task.parts == {"a": 2, "b": 1}
    assert task.kind != task_of({"b": 2, "a": [[1.0, 2.0]], "kind": "wood", "open": True}, 7).kind
    assert task.kind != task_of({"b": 2, "a": [[1.0, 2.0]], "kind": "steel", "open": True}, 8).kind
    again = named_like({"b": 2, "a": [[1.0, 2.0]], "kind": "steel", "open": True}, task.vector + 1.0)
    assert again["b"] == 3.0 and again["kind"] == "steel" and again["a"].tolist() == [[2.0, 3.0]]
    for wrong, error in (({"a": np.nan}, ValueError), ({"a": 1j}, TypeError), ({"a": "word"}, ValueError), ({"a": None}, TypeError)):
        with pytest.raises(error, match="task"):
            task_of(wrong)


def test_long_arrays_become_their_principal_components():
    random = np.random.default_rng(6)
    hidden = random.normal(size=(20, 2))
    tasks = np.concatenate([random.normal(size=(20, 1)), hidden @ random.normal(size=(2, 50))], 1)
    scaling = Scaling(tasks, {"a": 1, "data": 50})
    assert scaling(tasks).shape == (20, 3)
    np.testing.assert_allclose(scaling(tasks).std(0), 1.0)


def solve_of(k, **more):
    task = task_of({"a": float(k)}, 3)
    return Solve(task, np.full(3, float(k)), float(k), gradient=np.zeros(3), hessian=np.eye(3), about={"calls": k}, **more)


def test_a_folder_gives_back_what_was_put_in(tmp_path):
    folder = Folder(tmp_path / "a" / "b")
    assert folder.solves() == []
    for k in range(3):
        folder.add(solve_of(k, tangents=np.ones((3, 1)) * k))
    for found in (folder.solves(), Folder(tmp_path / "a" / "b").solves()):
        assert [s.value for s in found] == [0.0, 1.0, 2.0] and found[2].number("calls") == 2.0
        np.testing.assert_array_equal(found[1].tangents, np.ones((3, 1)))
        assert len(Folder(tmp_path / "a" / "b").solves(found[0].task.kind)) == 3
    with pytest.raises(ValueError, match="not finite"):
        folder.add(Solve(task_of(1.0), np.array([np.nan]), 0.0))
    assert len(list((tmp_path / "a" / "b").iterdir())) == 3
    with pytest.raises(NotADirectoryError):
        Folder(next((tmp_path / "a" / "b").iterdir()))


def damaged(path):
    """Yield a name and the bytes of files that are no solves."""
    whole = path.read_bytes()
    yield "empty", b""
    yield "half", whole[: len(whole) // 2]
    yield "text", b"not HDF5 at all"
    for k in (len(whole) // 3, len(whole) // 2, len(whole) - 100):
        yield f"flipped-{k}", whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1 :]


def test_damaged_and_foreign_files_are_left_out(tmp_path):
    good = Folder(tmp_path / "good").add(solve_of(1))
    for name, content in damaged(good):
        folder = Folder(tmp_path / name)
        folder.add(solve_of(2))
        (tmp_path / name / "0.solve.h5").write_bytes(content)
        (tmp_path / name / "notes.txt").write_text("mine")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = folder.solves()
        # A flipped byte outside of the numbers may do no harm; one that changes a number is noticed.
        assert {s.value for s in found} == ({2.0} if told else {1.0, 2.0}) and (told or name.startswith("flipped"))
        assert all(w.category is UnreadableSolveWarning for w in told)
        assert all(np.array_equal(s.point, np.full(3, s.value)) for s in found)


def test_a_solve_of_wrong_shapes_is_refused(tmp_path):
    from physopt.core.trajectory import write_arrays

    header = {"schema": 1, "kind": task_of({"a": 1.0}, 3).kind, "about": {}}
    sound = {"task": np.ones(1), "point": np.ones(3), "value": np.ones(1)}
    wrong = [
        (header | {"schema": 2}, sound),
        (header | {"kind": "[]"}, sound),
        (header | {"kind": '{"numbers": {"a": [' + "9" * 30 + "]}}"}, sound),
        (header | {"about": 3}, sound),
        (header, sound | {"hessian": np.ones((3, 2))}),
        (header, sound | {"strange": np.ones(3)}),
        (header, sound | {"point": np.array([1.0, np.inf, 1.0])}),
        (header, {"task": np.ones(1), "point": np.ones(3)}),
        (header, sound | {"task": np.ones(2)}),
    ]
    for k, (told, arrays) in enumerate(wrong):
        write_arrays(tmp_path / f"{k}.solve.h5", "physopt-solve", told, arrays)
        with pytest.raises(UnreadableRunError):
            Solve.read(tmp_path / f"{k}.solve.h5")


@pytest.mark.parametrize("wrong", [{"modes": np.array(1.0)}, {"rest": np.zeros(2)}, {"pushed": np.ones((4, 3))}, {"rest": None}])
def test_modes_of_another_shape_are_refused(tmp_path, wrong):
    modes = Modes(np.eye(4)[:, :2], 2.0 * np.eye(4)[:, :2], 3.0)
    Solve(task_of({"a": 1.0}, 4), np.ones(4), 0.5, modes=modes).write(tmp_path / "right")
    header, arrays = read_arrays(tmp_path / "right", FILE_KIND)
    arrays = {name: array for name, array in {**arrays, **wrong}.items() if array is not None}
    write_arrays(tmp_path / "other", FILE_KIND, header, arrays)
    with pytest.raises(UnreadableRunError):
        Solve.read(tmp_path / "other")
