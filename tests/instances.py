"""Every problem and every rule, listed once: one more line here is one more column in the tests of the laws."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from pyscf import dft, gto, scf

from physopt import AbstractModel, AbstractProblem, AbstractRule, Euclidean, Evaluation
from physopt.core.problem import shorten
from physopt.meta.quadratics import Quadratics, log_cosh
from physopt.pinn import Poisson, scatter, single_mode
from physopt.rules.control import Control
from physopt.rules.corrected import Corrected
from physopt.rules.diis import adiis_cdiis, cdiis, response_diis
from physopt.rules.from_optax import FromOptax
from physopt.rules.gradient import GradientDescent
from physopt.rules.guard import Guard
from physopt.rules.lbfgs import LBFGS
from physopt.rules.learned import Span
from physopt.rules.mirror import MirrorDescent
from physopt.rules.mma import GCMMA, MMA
from physopt.rules.model_step import ModelStep
from physopt.rules.oc import OptimalityCriteria
from physopt.rules.self_scaled import SelfScaledBroyden
from physopt.rules.soap import soap
from physopt.rules.trust import TrustRegion
from physopt.rules.watch import Watch
from physopt.scf.problem import SCF
from physopt.topopt import SIMP, AbstractObjective, DensityFilter, PowerMean, Ramp, Structure, half_mbb


class Instance(NamedTuple):
    """A problem, a point of it that is not special, and the size of finite differences that suits it."""

    name: str
    make: Callable[[], tuple[AbstractProblem, Any]]
    difference: float = 1e-4
    traceable: bool = False


class Rosenbrock(AbstractProblem):
    """The banana valley: traceable, bare gradient; one of the arrays of its point is empty, as where a network has no unknown numbers."""

    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: Any) -> Any:
        return {"x": jnp.array([-1.2, 1.0, 0.5]), "y": jnp.array([0.3]), "unknowns": jnp.zeros(0)}

    def evaluate(self, point: Any) -> Evaluation:
        def value(p: Any) -> Any:
            z = jnp.concatenate([p["x"], p["y"]])
            return jnp.sum(10.0 * (z[1:] - z[:-1] ** 2) ** 2 + (1.0 - z[:-1]) ** 2)

        result, grad = jax.value_and_grad(value)(point)
        return Evaluation(result, grad, Euclidean(grad))

    def retract(self, point: Any, step: Any) -> Any:
        return jax.tree.map(jnp.add, point, step)


class Sphere(AbstractProblem):
    """A Rayleigh quotient on the unit sphere: traceable, curved, with a tangent frame that moves with the point."""

    matrix: jax.Array
    traceable: bool = eqx.field(default=True, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: Any) -> Any:
        q, _ = jnp.linalg.qr(jnp.asarray(np.random.default_rng(0).normal(size=(5, 5))))
        return q

    def evaluate(self, point: Any) -> Evaluation:
        image = self.matrix @ point[:, 0]
        grad = 2.0 * point[:, 1:].T @ image
        return Evaluation(point[:, 0] @ image, grad, Euclidean(grad))

    def retract(self, point: Any, step: Any) -> Any:
        generator = jnp.zeros((5, 5)).at[1:, 0].set(step).at[0, 1:].set(-step)
        square = jnp.sum(step**2)
        angle = jnp.sqrt(jnp.where(square > 0.0, square, 1.0))
        first, second = jnp.sin(angle) / angle, (1.0 - jnp.cos(angle)) / angle**2  # of a turn by so much in one plane
        first, second = jnp.where(square > 0.0, first, 1.0), jnp.where(square > 0.0, second, 0.5)
        return point @ (jnp.eye(5) + first * generator + second * generator @ generator)


class Diagonal(AbstractModel):
    """A quadratic model with the wrong, but positive, curvature."""

    grad: np.ndarray
    curvature: np.ndarray

    def minimize(self, tilt: Any = None, radius: Any = None) -> Any:
        return shorten(-(self.grad if tilt is None else self.grad + tilt) / self.curvature, radius)


class HostQuadratic(AbstractProblem):
    """A quadratic in NumPy, as a compiled oracle would be: not traceable."""

    traceable: bool = eqx.field(default=False, static=True)
    unit: str = eqx.field(default="1", static=True)

    def init(self, key: Any) -> Any:
        return np.array([1.0, -2.0, 0.5, 3.0])

    def evaluate(self, point: Any) -> Evaluation:
        curvature = np.array([1.0, 4.0, 20.0, 100.0])
        grad = curvature * point
        return Evaluation(np.float64(0.5 * grad @ point), grad, Diagonal(grad, np.array([2.0, 3.0, 30.0, 60.0])))

    def retract(self, point: Any, step: Any) -> Any:
        return point + np.asarray(step)


def molecule(atom: str, **options: Any) -> gto.Mole:
    return gto.M(atom=atom, verbose=0, **{"basis": "6-31g", **options})


WATER = "O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47"
HYDROXYL = "O 0 0 0; H 0 0 0.97"


def displaced(problem: SCF) -> tuple[SCF, Any]:
    """Return the problem and a determinant away from its stationary points."""
    point = problem.init()
    rng = np.random.default_rng(1)
    sizes = problem.oracle.rotations.shapes(len(point.coeff[0]))
    return problem, problem.retract(point, tuple(0.05 * rng.normal(size=s) for s in sizes))


def beam(**options: Any) -> SIMP:
    return SIMP(half_mbb((12, 6)), 0.5, DensityFilter(1.5), **options)


def two_sided(objective: AbstractObjective) -> SIMP:
    """Return a plate held on the left that is pulled up in one case and, twice as hard, to the right in another."""
    force, held = np.zeros((2, 2, 13, 13)), np.zeros((2, 13, 13), bool)
    held[:, 0] = True
    force[0, 1, -1, 0] = 1.0
    force[1, 0, -1, -1] = 2.0
    return SIMP(Structure((12, 12), force, held), 0.4, DensityFilter(1.5), objective=objective)


def roughened(problem: SIMP) -> tuple[SIMP, Any]:
    """Return the problem and an uneven design away from the bounds."""
    point = problem.init()
    return problem, problem.retract(point, 0.1 * np.random.default_rng(2).normal(size=point.shape))


def started(problem: AbstractProblem) -> tuple[AbstractProblem, Any]:
    return problem, problem.init(jax.random.key(0))


PROBLEMS = [
    Instance("rosenbrock", lambda: started(Rosenbrock()), traceable=True),
    Instance("sphere", lambda: started(Sphere(jnp.diag(jnp.array([1.0, 2.0, 4.0, 7.0, 9.0])) + 0.3)), traceable=True),
    Instance("host-quadratic", lambda: started(HostQuadratic())),
    Instance("rhf-water", lambda: displaced(SCF.of(scf.RHF(molecule(WATER))))),
    Instance("uhf-hydroxyl", lambda: displaced(SCF.of(scf.UHF(molecule(HYDROXYL, spin=1))))),
    Instance("rohf-hydroxyl", lambda: displaced(SCF.of(scf.ROHF(molecule(HYDROXYL, spin=1))))),
    Instance("rks-water", lambda: displaced(SCF.of(dft.RKS(molecule(WATER, basis="sto-3g"), xc="b3lyp").set(grids_level=0)))),
    Instance("pinn-poisson", lambda: started(Poisson(single_mode(1), scatter(jax.random.key(1), 40), width=4, depth=1)), traceable=True),
    Instance(
        "log-cosh-well",
        lambda: started(Quadratics(dim=5, shape=log_cosh).problem(jnp.array([2.0, 1.0, 0.1, 3.0]))),
        traceable=True,
    ),
    Instance("simp-mbb", lambda: roughened(beam())),
    Instance("simp-mbb-ramp", lambda: roughened(beam(interpolation=Ramp()))),
    Instance("simp-power-mean", lambda: roughened(two_sided(PowerMean(6.0)))),
    Instance("frozen-fock-water", lambda: displaced(SCF(scf.RHF(molecule(WATER))))),
]

FIELDS = [p for p in PROBLEMS if "water" in p.name or "hydroxyl" in p.name]
BEAMS = [p for p in PROBLEMS if p.name.startswith("simp-mbb")]

# Rules that need nothing but the core's vocabulary, hence run on every problem.
RULES: list[tuple[str, AbstractRule]] = [
    ("gradient", GradientDescent()),
    ("lbfgs", LBFGS(memory=4)),
    ("watched-lbfgs", Watch(LBFGS(memory=4, scaled=False), LBFGS(memory=4))),
    ("model-step", ModelStep()),
    ("model-step-radius", ModelStep(radius=0.3)),
    ("guarded-lbfgs", Guard(LBFGS(memory=3), GradientDescent())),
    ("guarded-sgd", Guard(FromOptax(optax.sgd(1e-3)), LBFGS(memory=3))),
    ("span", Span(key=jax.random.key(0))),
    ("adam", FromOptax(optax.adam(3e-3))),
    ("soap", FromOptax(soap(3e-3))),
    ("self-scaled-broyden", SelfScaledBroyden()),
]

# Rules that extrapolate anchors, hence run on self-consistent fields only.
ANCHORED_RULES: list[tuple[str, AbstractRule]] = [
    ("cdiis", cdiis()),
    ("adiis-cdiis", adiis_cdiis()),
    ("response-diis", response_diis()),
    ("guarded-response-diis", Guard(response_diis(), adiis_cdiis())),
    ("trust-region", TrustRegion()),
    ("control", Control()),
    ("control-impatient", Control(patience=-1, dwell=3)),
    ("trust-region-short", TrustRegion(radius=0.1, space=2)),
]

# Rules that approximate functions of a bounded design, hence run on topology optimization only.
BOXED_RULES: list[tuple[str, AbstractRule]] = [
    ("oc", OptimalityCriteria()),
    ("mma", MMA()),
    ("gcmma", GCMMA()),
    ("mirror", MirrorDescent()),
    ("corrected-mma", Corrected(MMA(), beam(halvings=1), 3, price=beam(halvings=1).equilibrium.unknowns / beam().equilibrium.unknowns)),
    ("guarded-mma", Guard(MMA(), MirrorDescent())),
]


def pairs(problems: list[Instance], rules: list[tuple[str, Any]], every: int) -> list[Any]:
    """Return all pairs of a problem and a rule, or what else has a name; one in so many of each by default, the others if slow."""
    return combined([(problem.name, problem) for problem in problems], rules, every)


def combined(first: list[tuple[str, Any]], second: list[tuple[str, Any]], every: int) -> list[Any]:
    """Return the same of two lists of names with what they name."""
    return [
        pytest.param(one, other, marks=() if (i + j) % every == 0 else pytest.mark.slow, id=f"{name}-{with_name}")
        for i, (name, one) in enumerate(first)
        for j, (with_name, other) in enumerate(second)
    ]


def chosen(problems: list[Instance], rules: list[tuple[str, Any]], names: Collection[str]) -> list[Any]:
    """Return all pairs of a problem and a rule; those of these names (`problem-rule`) by default, the others if slow."""
    return [
        pytest.param(problem, rule, marks=() if f"{problem.name}-{name}" in names else pytest.mark.slow, id=f"{problem.name}-{name}")
        for problem in problems
        for name, rule in rules
    ]


def sampled(cases: Iterable[Any], default: int | Collection[Any]) -> list[Any]:
    """Return all cases of a law; one in so many of them, or these, by default, the others if slow."""
    chosen = (lambda k, case: k % default == 0) if isinstance(default, int) else (lambda k, case: case in default)
    return [pytest.param(case, marks=() if chosen(k, case) else pytest.mark.slow) for k, case in enumerate(cases)]
