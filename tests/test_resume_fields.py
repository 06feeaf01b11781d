"""Fields and trainings that are resumed with one thing changed: refused, and the thing is named, with both values."""

import jax
import optax
import pytest
from instances import sampled
from pyscf import dft, gto, scf

import physopt
from physopt import Recording
from physopt.meta.estimators import Antithetic, Backprop
from physopt.meta.loss import LogArea
from physopt.meta.quadratics import Quadratics, log_cosh
from physopt.meta.training import train
from physopt.rules.learned import Span

WATER = "O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


def _refused(folder, run, phrase):
    with pytest.raises(ValueError, match=phrase):
        run(Recording(folder, resume=True))


# --- self-consistent fields

FIELDS = {
    "geometry": (lambda: scf.RHF(_mol(atom=WATER.replace("0.587", "0.6"))), r"problem.atoms\[1\] was H 0 0.757 0.587, is H 0 0.757 0.6"),
    "element": (lambda: scf.RHF(_mol(atom=WATER.replace("O", "S"))), r"problem.atoms\[0\] was O 0 0 0, is S 0 0 0"),
    "charge": (lambda: scf.RHF(_mol(charge=2)), "problem.charge was 0, is 2"),
    "spin": (lambda: scf.UHF(_mol(spin=2)), "problem.field was RHF, is UHF; problem.spin was 0, is 2"),
    "basis": (lambda: scf.RHF(_mol(basis="3-21g")), "problem.basis was sto-3g, is 3-21g"),
    "functional": (lambda: dft.RKS(_mol(), xc="lda"), "problem.field was RHF, is RKS"),
    "fitting": (lambda: scf.RHF(_mol()).density_fit(), "problem.field was RHF, is DFRHF"),
    "solvent": (lambda: scf.RHF(_mol()).PCM(), "problem.field was RHF, is PCMRHF"),
    "relativity": (lambda: scf.RHF(_mol()).x2c(), r"problem.(field|hcore)"),
    "electric field": (lambda: _in_a_field(scf.RHF(_mol())), r"problem.hcore.about\[0\] was"),
    "DIIS space": (lambda: _set(scf.RHF(_mol()), diis_space=4), "space was 8, is 4"),
    "level shift": (lambda: _set(scf.RHF(_mol()), level_shift=0.3), "shift.value was 0.0, is 0.3"),
}


def _mol(**changes):
    return gto.M(**{"atom": WATER, "basis": "sto-3g", "verbose": 0, **changes})


def _set(mf, **settings):
    vars(mf).update(settings)
    return mf


def _in_a_field(mf):
    hcore = mf.get_hcore() + 0.01 * mf.mol.intor("int1e_r")[2]
    return _set(mf, get_hcore=lambda *_: hcore)


def _field(mf, record, **how):
    mf = physopt.accelerate(mf, record=record, **how)
    mf.max_cycle = 1
    mf.conv_tol = 1e-14
    mf.kernel()


@pytest.fixture(scope="module")
def field(home):
    _field(scf.RHF(_mol()), Recording(home / "field"))
    return home / "field"


@pytest.mark.parametrize("name", sampled(FIELDS, 3))
def test_another_field_is_refused_by_name(field, name):
    make, phrase = FIELDS[name]
    _refused(field, lambda record: _field(make(), record), phrase)


def test_another_target_functional_or_grid_is_refused_by_name(field, tmp_path):
    _refused(field, lambda record: _field(scf.RHF(_mol()), record, target="stable"), "target was nearest, is stable")
    _field(dft.RKS(_mol(), xc="lda"), Recording(tmp_path / "lda"))
    for change, phrase in [({"xc": "pbe"}, "xc was lda, is pbe"), ({"nlc": "vv10"}, "nlc was , is vv10")]:
        _refused(tmp_path / "lda", lambda record, change=change: _field(_set(dft.RKS(_mol(), xc="lda"), **change), record), phrase)
    coarse = dft.RKS(_mol(), xc="lda")
    coarse.grids.level = 1
    _refused(tmp_path / "lda", lambda record: _field(coarse, record), "grids.level was 3, is 1")


# --- trainings


def _training(record, rule=None, family=Quadratics(dim=4), estimator=Antithetic(4, sigma=0.01), optim=optax.adam(1e-3), **changes):
    rule = Span(width=2, key=jax.random.key(0)) if rule is None else rule
    how = {"num_steps": 2, "tasks_per_step": 2, "key": jax.random.key(0), "callback": lambda _: True, **changes}
    return train(rule, family, estimator, optim, record=record, **how)


@pytest.fixture(scope="module")
def training(home):
    _training(Recording(home / "training"))
    return home / "training"


@pytest.mark.slow  # the first step is compiled
@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"optim": optax.adam(0.1)}, "step_size was -0.001, is -0.1"),
        ({"optim": optax.adam(1e-3, b1=0.8)}, "b1 was 0.9, is 0.8"),
        ({"optim": optax.adam(optax.cosine_decay_schedule(1e-3, 50))}, "optim.update"),
        ({"optim": optax.sgd(1e-3)}, "optim.init"),
        ({"key": jax.random.key(1)}, r"key\[1\] was 0, is 1"),
        ({"tasks_per_step": 3}, "tasks_per_step was 2, is 3"),
        ({"rule": Span(width=2, key=jax.random.key(1))}, "rule.head.hidden was"),
        ({"rule": Span(width=3, key=jax.random.key(0))}, "rule.head.hidden was"),
        ({"family": Quadratics(dim=5)}, "family.dim was 4, is 5"),
        ({"family": Quadratics(dim=4, shape=log_cosh)}, "family.shape was parabola, is log_cosh"),
        ({"family": Quadratics(dim=4, log_condition=(1.0, 5.0))}, r"family.log_condition\[1\] was 4.0, is 5.0"),
        ({"estimator": Antithetic(5, sigma=0.01)}, "estimator.num_steps was 4, is 5"),
        ({"estimator": Antithetic(4, sigma=0.1)}, "estimator.sigma was 0.01, is 0.1"),
        ({"estimator": Backprop(4)}, "estimator.class was Antithetic, is Backprop"),
        ({"meta_loss": LogArea(tolerance=1e-3)}, "meta_loss.tolerance was"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_another_training_is_refused_by_name(training, changes, phrase):
    _refused(training, lambda record: _training(record, **changes), phrase)
