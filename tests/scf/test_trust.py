"""What exact answers teach the model, and what a rule that trusts it no further costs."""

import numpy as np
import pytest
from instances import HYDROXYL, WATER, displaced, molecule, sampled
from pyscf import dft, scf

from physopt import Stop, minimize
from physopt.rules.diis import adiis_cdiis
from physopt.rules.trust import TrustRegion
from physopt.scf.model import Anchor
from physopt.scf.problem import SCF
from physopt.scf.secants import credible_share

MEAN_FIELDS = {
    "rhf": lambda: scf.RHF(molecule(WATER)),
    "uhf": lambda: scf.UHF(molecule(HYDROXYL, spin=1)),
    "rks": lambda: dft.RKS(molecule(WATER, basis="sto-3g"), xc="b3lyp"),
}


def answers(name, count=4):
    """Return the problem and its answers at a few determinants about one point."""
    problem, point = displaced(SCF.of(MEAN_FIELDS[name]()))
    rng = np.random.default_rng(3)
    shapes = problem.oracle.rotations.shapes(len(point.coeff[0]))
    points = [problem.retract(point, tuple(0.05 * rng.normal(size=s) for s in shapes)) for _ in range(count)]
    return problem, [problem.evaluate(p) for p in points]


@pytest.mark.parametrize("name", ["rhf", "uhf"])
def test_a_taught_model_explains_its_lessons_and_stays_symmetric(name):
    problem, [*others, newest] = answers(name)
    model = newest.model.taught([e.model.anchor for e in others])
    for other in others:
        change = other.model.anchor.density - newest.model.anchor.density
        induced = model.share * (other.model.anchor.induced - newest.model.anchor.induced) + model.secants(change)
        np.testing.assert_allclose(induced, other.model.anchor.fock - newest.model.anchor.fock, atol=1e-8)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, *newest.model.anchor.fock.shape))
    assert np.vdot(a, model.secants(b)) == pytest.approx(np.vdot(b, model.secants(a)))


@pytest.mark.parametrize("name", MEAN_FIELDS)
def test_lessons_leave_the_laws_of_the_model_alone(name):
    problem, [*others, newest] = answers(name)
    model = newest.model.taught([e.model.anchor for e in others])
    still = model.minimize(tuple(-g for g in newest.grad))
    assert max(abs(k).max() for k in still) < 1e-12
    assert sum(np.vdot(g, k) for g, k in zip(newest.grad, model.minimize(radius=0.1), strict=True)) < 0.0


@pytest.mark.parametrize("name", MEAN_FIELDS)
@pytest.mark.parametrize("radius", [1e-3, 0.1, 10.0])
def test_a_descent_ends_lower_within_its_radius_and_tells_by_how_much(name, radius):
    problem, [*others, newest] = answers(name)
    model = newest.model.taught([e.model.anchor for e in others])
    path = model.descend(radius)
    assert 0.0 < path.length <= 1.000001 * radius
    assert path.change < 0.0
    assert path.change == pytest.approx(model.energy(path.end.point), rel=1e-9)
    if radius == 1e-3:  # so short that the surface is flat
        straight = model.energy(problem.retract(model.orbitals, model.minimize(radius=radius)))
        assert path.change == pytest.approx(straight, rel=1e-6)
    if radius == 10.0:  # so long that the minimum is on the way
        assert np.linalg.norm(model.carried(path.end.point).error()) < 0.06 * np.linalg.norm(model.error())


def test_a_model_taught_everything_is_exact():
    # With a lesson for every direction, Hartree-Fock has no secret left: one step ends at the model's own stationary point.
    problem, point = displaced(SCF.of(scf.RHF(molecule("H 0 0 0; H 0 0 0.8", basis="6-31g"))))
    rng = np.random.default_rng(0)
    lessons = [problem.evaluate(problem.retract(point, (rng.normal(size=(3, 1)),))).model.anchor for _ in range(12)]
    found = problem.evaluate(problem.evaluate(point).model.taught(lessons).target(accuracy=1e-10).point)
    assert np.linalg.norm(found.grad[0]) < 1e-7


def test_useless_lessons_are_left_out():
    problem, [one, two, *_] = answers("rhf")
    a, b = one.model.anchor, two.model.anchor
    broken = Anchor(np.nan * b.fock, b.density, b.induced)
    assert one.model.taught([a, broken]).secants is None
    assert len(one.model.taught([b, b]).secants.overlap) == 1


def test_how_much_of_a_response_is_believed():
    rng = np.random.default_rng(0)
    fact = rng.normal(size=(1, 9, 9))
    assert credible_share(fact, 1.6 * fact) == pytest.approx(1.0 / 1.6)
    assert credible_share(fact, 0.5 * fact) == 1.0
    for nonsense in (1e6 * fact, 1e-6 * fact, -fact, 0.0 * fact, np.nan * fact, rng.normal(size=fact.shape)):
        assert credible_share(fact, nonsense) == 0.0


@pytest.mark.parametrize("name", sampled(MEAN_FIELDS, 3))
def test_accepted_values_never_rise(name):
    problem, point = displaced(SCF.of(MEAN_FIELDS[name]()))
    bases = []
    minimize(problem, TrustRegion(), point, stop=Stop(max_evaluations=15), callback=lambda p: bases.append(p.carry.state.base.value))
    assert (np.diff(bases) <= 1e-12 * abs(bases[0])).all()


def test_it_converges_where_diis_does_not():
    # Magnesium fluoride torn apart: the classical methods swing between two states.
    torn = {"atom": "Mg 0 0 0; F 0 0 2.8", "spin": 1}
    stop = Stop(grad_norm=6e-5, max_evaluations=25)
    problem = SCF.of(scf.UHF(molecule(**torn)))
    ours = minimize(problem, TrustRegion(), problem.init(), stop=stop)
    classical = SCF(scf.UHF(molecule(**torn)))
    theirs = minimize(classical, adiis_cdiis(), classical.init(), stop=stop)
    assert ours.converged
    assert ours.num_evaluations <= 0.6 * theirs.num_evaluations
