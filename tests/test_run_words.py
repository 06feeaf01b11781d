"""What a run says is what was written, whole and of the whole run: flipped bits are seen, interrupts lose nothing, parts are one run."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from recorded_runs import append, open_recorder
from test_run_reliability import _run

import physopt
from physopt.cli import main
from physopt.core.trajectory import RecordingStoppedWarning, UnreadableRunError, load, load_checkpoint

# --- flipped bits


def _said(folder, finish):
    recorder = open_recorder(folder, spec={"xc": "b3lyp"})
    append(recorder, 3)
    recorder.finish({"reason": "converged", "value": -76.5}) if finish else recorder.close()
    return folder


def _flip(file, old, new):
    data = file.read_bytes()
    assert data.count(old), "what is to be damaged is there"
    assert sum(bin(a ^ b).count("1") for a, b in zip(old, new, strict=True)) == 1, "one bit"
    file.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "finish"),
    [
        ("run.h5", b'"value": -76.5', b'"value": -72.5', True),
        ("run.h5", b"b3lyp", b"b1lyp", True),
        ("seg-0000.h5", b"b3lyp", b"b1lyp", False),
        ("run.json", b"b3lyp", b"b1lyp", False),
        ("run.json", b'"1.1"', b'"1.0"', False),
        ("run.json", b'"checksum"', b'"chmcksum"', False),
        ("run.json", b'"created"', b'"creqted"', False),
        ("run.json", b'"numpy": "2', b'"numpy": "0', False),
        ("run.json", b"-76.5", b"-72.5", True),
    ],
)
def test_verify_sees_one_flipped_bit_in_what_a_run_says(tmp_path, file, old, new, finish, capsys):
    run = _said(tmp_path / "run", finish)
    assert main(["runs", "verify", str(run)]) == 0
    _flip(run / file, old, new)
    assert main(["runs", "verify", str(run)]) == 2
    assert "physopt: " in capsys.readouterr().err


def test_nothing_shows_a_record_that_differs_from_what_was_committed(tmp_path, capsys):
    run = _said(tmp_path / "run", False)
    data = bytearray((run / "seg-0000.h5").read_bytes())
    data[data.find(np.float64(1 / 3).tobytes()) + 6] ^= 0x02
    (run / "seg-0000.h5").write_bytes(bytes(data))
    with pytest.raises(UnreadableRunError, match="record 1 differs from what was committed, one of 1"):
        load(run)
    for command in ("show", "plot", "verify", "pack"):
        assert main(["runs", command, str(run)]) == 2
    with pytest.warns(RecordingStoppedWarning, match="record 1 differs"):
        open_recorder(run, resume=True).finish({})
    assert load_checkpoint(run).index == 2  # the newest point is what it was


# --- signals and counts


def test_an_interrupted_run_carries_what_it_has_found(tmp_path):
    def interrupt(progress):
        if progress.index == 3:
            raise KeyboardInterrupt

    with pytest.raises(physopt.Interrupted) as caught:
        _run(tmp_path / "run", callback=interrupt)
    found = caught.value.found
    assert (found.reason, found.converged, found.num_evaluations) == ("interrupted", False, 4)
    assert found.evaluation.value == found.history.value.min() == 0.5 * found.point @ found.point
    assert load(tmp_path / "run").status == "interrupted"
    again = _run(tmp_path / "run", resume=True)[1]
    assert (again.num_evaluations, again.restored) == (6, 3)
    assert load(tmp_path / "run").status == "ended"
    assert load(tmp_path / "run").summary["reason"] == "budget"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["sigterm", "ctrl-c"])
def test_sigterm_and_ctrl_c_write_what_was_asked_for(tmp_path, number, code):
    out = tmp_path / f"{number}.json"
    script = (
        "import os, signal, sys, physopt.core.stop as s; from physopt.cli import main\n"
        # What a shell starts in the background ignores Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "real, count = s.Stop.converged, [0]\n"
        "def stop(self, *a):\n    count[0] += 1\n"
        "    if count[0] == 3: os.kill(os.getpid(), int(sys.argv[1]))\n    return real(self, *a)\n"
        "s.Stop.converged = stop\nsys.exit(main(sys.argv[2:]))"
    )
    command = f"pinn network --width 4 --depth 1 --points 40 --json {out} --plot {out.with_suffix('.png')} --record {out.with_suffix('')}"
    done = subprocess.run([sys.executable, "-c", script, str(int(number)), *command.split()], capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stderr
    (record,) = json.loads(out.read_text())["records"]
    assert record["evaluations"] == 3
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert load(out.with_suffix("")).status == "interrupted"


# --- runs in parts, and what comes out of them


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """A run of three stages, out of its budget."""
    folder = tmp_path_factory.mktemp("staged") / "rec"
    command = f"topopt cantilever --shape 24x16 --rmin 3 --max-iterations 4 --record {folder} --json {folder}.json"
    assert main(command.split()) == 3
    return folder


@pytest.mark.slow
def test_runs_take_the_folder_that_was_given_to_record(staged, tmp_path, capsys):
    for command in ("ls", "show", "verify", "pack"):
        assert main(["runs", command, str(staged)]) == 0
    assert main(["runs", "plot", str(staged), "--out", str(tmp_path / "a.png")]) == 0
    assert main(["runs", "ls", str(staged.parent)]) == 0
    out = capsys.readouterr().out
    assert "interrupted" not in out
    assert "ended, 24 records in 3 parts" in out
    assert "3 parts, ended; all as committed" in out
    assert load(staged / "stage-2").status == "ended"


@pytest.mark.slow
def test_a_design_can_be_written_from_the_record(staged, tmp_path, capsys):
    for ending in (".npy", ".npz", ".stl", ".vti", ".png"):
        assert main(["runs", "export", str(staged), str(tmp_path / f"best{ending}")]) == 0
        assert (tmp_path / f"best{ending}").stat().st_size > 100
    density = np.load(tmp_path / "best.npy")
    report = json.loads(staged.with_name("rec.json").read_text())["records"][0]
    assert density.shape == (24, 16)
    assert f"{report['compliance']:.10g}" in capsys.readouterr().out
    np.testing.assert_allclose(density.mean(), report["volume"], rtol=1e-12)
    for ending, phrase in [(".xyz", "no molecule"), (".safetensors", "no network"), (".docx", "written as .npy")]:
        assert main(["runs", "export", str(staged), str(tmp_path / f"best{ending}")]) == 2
        assert phrase in capsys.readouterr().err


@pytest.mark.slow
def test_a_resumed_design_counts_all_of_its_run(staged, tmp_path):
    first = json.loads(staged.with_name("rec.json").read_text())["records"][0]
    command = f"topopt cantilever --shape 24x16 --rmin 3 --max-iterations 5 --record {staged} --resume --json {tmp_path}/a.json"
    assert main(command.split()) == 3
    resumed = json.loads((tmp_path / "a.json").read_text())["records"][0]
    assert (first["evaluations"], resumed["evaluations"]) == (24, 25)
    assert [step["value"] for step in resumed["history"][:24]] == [step["value"] for step in first["history"]]
    np.testing.assert_allclose(resumed["equivalents"] - first["equivalents"], 2.0, atol=1.0)


def test_a_field_is_counted_whole_and_written_as_a_molecule(tmp_path, capsys):
    molecule = tmp_path / "no.xyz"
    molecule.write_text("2\nspin=1\nN 0 0 0\nO 0 0 1.15\n")
    command = ["scf", str(molecule), "--basis", "6-31g", "--json"]
    assert main([*command, str(tmp_path / "whole.json")]) == 0
    whole = json.loads((tmp_path / "whole.json").read_text())["records"][0]
    script = (
        "import os, sys, signal, physopt.core.trajectory.recorder as r; from physopt.cli import main\n"
        "real = r.Recorder.append\n"
        "def append(self, *a):\n    real(self, *a)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "r.Recorder.append = append\nsys.exit(main(sys.argv[1:]))"
    )
    recorded = [*command, str(tmp_path / "part.json"), "--record", str(tmp_path / "run")]
    assert subprocess.run([sys.executable, "-c", script, *recorded], capture_output=True, timeout=600).returncode == -9
    assert main(["runs", "export", str(tmp_path / "run"), str(tmp_path / "best.npz")]) == 0
    with np.load(tmp_path / "best.npz") as best:
        assert {"shown.mo_coeff", "shown.mo_occ"} <= set(best.files)
    assert main([*recorded, "--resume"]) == 0
    resumed = json.loads((tmp_path / "part.json").read_text())["records"][0]
    assert resumed["exact_builds"] == whole["exact_builds"]
    assert resumed["energy"] == whole["energy"]
    np.testing.assert_allclose(resumed["grad_norms"], whole["grad_norms"], rtol=1e-10)  # PySCF's sum has another order
    assert main(["runs", "export", str(tmp_path / "run"), str(tmp_path / "out.xyz")]) == 0
    assert (tmp_path / "out.xyz").read_text().splitlines()[2:] == ["N 0 0 0", "O 0 0 1.15"]


@pytest.mark.slow
def test_a_network_and_trained_weights_come_out_as_weight_files(tmp_path):
    import jax
    import optax

    from physopt import Recording
    from physopt.core.weights import load_weights
    from physopt.meta.estimators import Antithetic
    from physopt.meta.quadratics import Quadratics
    from physopt.meta.training import train
    from physopt.pinn import Poisson, scatter, single_mode
    from physopt.rules.learned import Span

    assert main(f"pinn network --width 3 --depth 1 --points 30 --steps 2 --record {tmp_path}/net".split()) == 3
    assert main(["runs", "export", f"{tmp_path}/net", f"{tmp_path}/net.safetensors"]) == 0
    keys = jax.random.split(jax.random.key(1))
    problem = Poisson(amplitude=single_mode(1), collocation=scatter(keys[0], 30), width=3, depth=1)
    network = load_weights(tmp_path / "net.safetensors", problem.init(keys[1]))
    best = load(tmp_path / "net").columns["value"].min()
    scattered, _ = jax.random.split(jax.random.key(0))
    same = Poisson(amplitude=single_mode(1), collocation=scatter(scattered, 30), width=3, depth=1)
    np.testing.assert_allclose(same.evaluate(network).value, best, rtol=1e-12)
    rule, _ = train(
        Span(width=2, key=jax.random.key(0)), Quadratics(dim=4), Antithetic(3, sigma=0.01, pairs=2), optax.adam(1e-3),
        num_steps=3, tasks_per_step=2, key=jax.random.key(0), record=Recording(tmp_path / "rule"), callback=lambda step: step.index == 1,
    )  # fmt: skip
    assert main(["runs", "export", f"{tmp_path}/rule", f"{tmp_path}/rule.safetensors"]) == 0
    back = load_weights(tmp_path / "rule.safetensors", Span(width=2, key=jax.random.key(5)))
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(rule), strict=True):
        np.testing.assert_array_equal(a, b)
