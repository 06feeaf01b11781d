"""The learned response kernel: bounded whatever the weights, better after training, the same bytes each time."""

import dataclasses

import numpy as np
import pytest
from pyscf import gto, scf

from physopt import accelerate
from physopt.cli import main
from physopt.core.weights import WeightsError, read_provenance, save_weights
from physopt.scf.auxiliary import Auxiliary
from physopt.scf.kernel import ResponseKernel
from physopt.scf.learned import SHIPPED, KernelWeights, load_kernel, trained
from physopt.scf.training.fit import fit, loss
from physopt.scf.training.lessons import harvest

WATER = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"
SIZES = [len(KernelWeights().exponents), len(KernelWeights().scales)]


def water(**settings):
    return scf.RHF(gto.M(atom=WATER, basis="6-31g", verbose=0, **settings))


@pytest.fixture(scope="module")
def lesson():
    return harvest(water())


def spoiled(kind: str) -> KernelWeights:
    rng = np.random.default_rng(0)
    make = {
        "random": lambda n: rng.normal(size=n),
        "huge": lambda n: 1e6 * rng.normal(size=n),
        "not a number": lambda n: np.full(n, np.nan),
        "infinite": lambda n: np.full(n, -np.inf),
    }[kind]
    return KernelWeights(*(make(n) for n in SIZES))


def test_zero_weights_are_the_untrained_kernel():
    assert KernelWeights().auxiliary() == Auxiliary()


@pytest.mark.parametrize("kind", ["random", "huge", "not a number", "infinite"])
def test_adversarial_weights_give_a_sane_kernel(kind):
    auxiliary, base = spoiled(kind).auxiliary(), Auxiliary()
    for ours, theirs in zip((*auxiliary.exchange, *auxiliary.light), (*base.exchange, *base.light), strict=True):
        assert np.all(abs(np.log(np.array(ours) / theirs)) <= 3.0 + 1e-12)
    assert all(0.6 < scale < 1.7 for scale in auxiliary.scale.values())
    kernel = ResponseKernel.of(water(), auxiliary)
    orbitals = np.linalg.qr(np.random.default_rng(1).normal(size=(13, 13)))[0][:, :5]
    assert np.isfinite(kernel([orbitals], [np.ones(5)], 2.0)).all()
    mf = accelerate(water(), weights=auxiliary)
    mf.kernel()
    assert mf.converged
    assert mf.cycles <= 8
    assert mf.e_tot == pytest.approx(water().kernel(), abs=1e-8)


def test_scales_of_elements_reach_labelled_atoms():
    auxiliary = Auxiliary(scale={"O": 1.2})
    assert auxiliary.exchange_shells("O1") == auxiliary.exchange_shells("O") != Auxiliary().exchange_shells("O")


def test_lessons_say_what_the_exact_fock_matrix_does(lesson):
    # With a complete set of functions the fitted response would be exact: more of them must come nearer.
    many = ((0.2, 0.6, 1.8, 6.0, 20.0, 60.0), (0.2, 0.6, 1.8, 6.0), (0.3, 0.9, 3.0))
    rich = Auxiliary(exchange=many, light=many[:2])
    assert (lesson.errors(rich) < 0.3 * lesson.errors(Auxiliary())).all()


def test_a_functional_without_exact_exchange_teaches_nothing():
    with pytest.raises(ValueError, match="no exact exchange"):
        harvest(water().to_rks("lda,vwn"))


def test_regression_lowers_the_error_and_leaves_other_elements_alone(lesson):
    start = KernelWeights()
    weights = fit([lesson], start, evaluations=25)
    assert loss([lesson], weights) < loss([lesson], start) - 0.1
    untaught = np.delete(weights.scales, [1, 8])
    assert not untaught.any()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    folder = tmp_path / "molecules"
    folder.mkdir()
    for index, angle in enumerate(np.linspace(1.6, 2.1, 5)):
        x, z = 0.96 * np.sin(angle / 2), 0.96 * np.cos(angle / 2)
        (folder / f"{index}.xyz").write_text(f"3\ncharge=0 spin=0\nO 0 0 0\nH {x} 0 {z}\nH {-x} 0 {z}\n")
    out, command = tmp_path / "k.safetensors", ["train", "scf", "--family", str(folder), "--basis", "sto-3g", "--evaluations", "6"]
    runs = []
    for _ in range(2):
        assert main([*command, "--out", str(out), "--json", str(tmp_path / "k.json")]) == 0
        runs.append(out.read_bytes())
    assert runs[0] == runs[1]
    losses = read_provenance(out)["loss"]
    assert losses["after"] <= losses["before"]
    mf = accelerate(water(), weights=out)
    mf.kernel()
    assert mf.converged


@pytest.mark.parametrize("arguments", [[], ["a", "--family", "b"], ["nowhere"]])
def test_bad_commands_are_refused_in_one_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "scf", *arguments]) in (2, 3, 4)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_weights_survive_the_file(tmp_path):
    path, weights = tmp_path / "kernel.safetensors", spoiled("random")
    save_weights(path, weights, {})
    assert load_kernel(path).auxiliary() == weights.auxiliary()


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_a_damaged_file_is_refused_by_name(damage, tmp_path):
    path = tmp_path / "kernel.safetensors"
    data = bytearray(SHIPPED.read_bytes())
    data[-5] ^= 1
    if damage != "missing":
        path.write_bytes(data if damage == "flipped" else data[:-8])
    with pytest.raises((WeightsError, FileNotFoundError), match=r"kernel\.safetensors"):
        accelerate(water(), weights=path)


def test_the_shipped_kernel_is_the_default():
    assert ResponseKernel.of(water()).num_functions == ResponseKernel.of(water(), trained()).num_functions
    assert accelerate(water()).auxiliary is None
    assert dataclasses.replace(trained()) == load_kernel(SHIPPED).auxiliary()
