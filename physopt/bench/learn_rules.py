"""The classical rules that learned starts are compared with, each tuned on the recorded tasks."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.optimize
from jaxtyping import Float
from numpy import ndarray

from physopt.meta.families import AbstractPhysics
from physopt.meta.families.physics import OwnRule
from physopt.study.oracle import Oracle, OutOfCalls

MOST = 3000  # calls of a solve
Run = Callable[["Case", Oracle, Float[ndarray, " n"], float], None]


class Compiled:
    """A family's functions, compiled once for all tasks."""

    def __init__(self, family: AbstractPhysics):
        grad = jax.grad(family.value)
        self.family, self.slope = family, jax.jit(jax.value_and_grad(family.value))
        self.hessian = jax.jit(jax.jacfwd(grad))
        self.product = jax.jit(lambda x, v, mu: jax.jvp(lambda y: grad(y, mu), (x,), (v,))[1])
        residual = getattr(family, "residual", None)
        self.residual = None if residual is None else jax.jit(residual)
        self.jacobian = None if residual is None else jax.jit(jax.jacfwd(residual))


class Case(NamedTuple):
    """One task of a family."""

    compiled: Compiled
    mu: Float[ndarray, " mu"]

    @property
    def known(self) -> Any:
        """What the family's functions are given of the task."""
        return self.compiled.family.prepared(self.mu)

    def function(self, x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
        """Return value and gradient."""
        value, grad = self.compiled.slope(x, self.known)
        return float(value), np.asarray(grad)

    def hessian(self, x: Float[ndarray, " n"]) -> Float[ndarray, "n n"]:
        """Return the Hessian."""
        return np.asarray(self.compiled.hessian(x, self.known))

    def oracle(self) -> Oracle:
        """Return a fresh oracle."""
        return Oracle(self.function, MOST)


class Row(NamedTuple):
    """What an outside meter sees of an answer: the calls so far, value, norm of the gradient, and seconds since the solve began."""

    calls: float
    value: float
    norm: float
    seconds: float


class Rule(NamedTuple):
    """A classical rule with its settings, by name."""

    name: str
    run: Run

    def calls(self, case: Case, start: Float[ndarray, " n"], gtol: float) -> float:
        """Return the calls to a gradient of norm `gtol`; infinite if that is not reached."""
        oracle = case.oracle()
        self.run(case, oracle, start, gtol)
        return float(next((row[0] for row in oracle.rows if row[2] <= gtol), np.inf))


class _Reached(Exception):
    """The gradient is small enough."""


def _scipy(method: str, price: Callable[[Case], float], curvature: str, **options: Any) -> Run:
    """Return a rule of SciPy, whose Hessian or Hessian-vector product costs `price` calls."""

    def run(case: Case, oracle: Oracle, start: Float[ndarray, " n"], gtol: float) -> None:
        owed: list[Float[ndarray, " n"]] = []

        def pay() -> None:
            # SciPy asks for the Hessian before the value, at the last point and at rejected ones, too: a careful program would not.
            if owed and oracle.lowest is not None and np.array_equal(owed.pop(), oracle.lowest.point):
                oracle.spend_on_curvature(price(case))

        def asked(x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
            if owed and not np.array_equal(owed[-1], x):
                pay()
            answer = oracle(x)
            if answer.norm <= gtol:
                raise _Reached
            return answer.value, answer.grad

        def paid(function: Callable[..., Any]) -> Callable[..., Any]:
            def charged(x: Float[ndarray, " n"], *direction: Any) -> Any:
                if direction:
                    oracle.spend_on_curvature(price(case))
                else:
                    pay()
                    owed[:] = [np.array(x)]
                return np.asarray(function(x, *direction))

            return charged

        more: dict[str, Any] = {}
        if curvature == "product":
            more["hessp"] = paid(lambda x, v: case.compiled.product(x, v, case.known))
        elif curvature == "hessian":
            more["hess"] = paid(case.hessian)
        elif curvature == "jacobian":
            more["hess"] = paid(lambda x: (lambda j: j.T @ j)(np.asarray(case.compiled.jacobian(x, case.known))))  # pyright: ignore[reportOptionalCall]
        try:
            scipy.optimize.minimize(asked, start, jac=True, method=method, options=options, **more)
        except (_Reached, OutOfCalls):
            return
        except (ValueError, np.linalg.LinAlgError):
            return  # trust-exact on a Hessian that is not finite

    return run


def _own(rule: OwnRule) -> Run:
    """Return a rule that only a family has."""

    def run(case: Case, oracle: Oracle, start: Float[ndarray, " n"], gtol: float) -> None:
        def asked(x: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
            answer = oracle(x)
            if answer.norm <= gtol:
                raise _Reached
            return answer.value, answer.grad

        with contextlib.suppress(_Reached, OutOfCalls):
            rule(asked, case.known, start)

    return run


def settings(compiled: Compiled) -> dict[str, list[Rule]]:
    """Return the rules by name, each with the settings that are tried: SciPy's, L-BFGS with long memories among them."""
    never = {"gtol": 0.0, "maxiter": 10**5}
    limits = {"maxiter": 10**5, "maxfun": 10**5, "ftol": 0.0, "gtol": 0.0, "maxls": 40}
    dense = float(compiled.family.hessian_calls)
    half = compiled.family.unknowns / 2.0  # a Jacobian, in calls, by columns or adjoints at half a call each
    found = {
        "l-bfgs-b": [_scipy("L-BFGS-B", lambda case: 0.0, "", maxcor=memory, **limits) for memory in (5, 10, 20, 60)],
        "newton-cg": [
            _scipy("trust-ncg", lambda case: 1.0, "product", initial_trust_radius=r, max_trust_radius=1e3, **never) for r in RADII
        ],
        "newton": [
            _scipy("trust-exact", lambda case: dense, "hessian", initial_trust_radius=r, max_trust_radius=1e3, **never) for r in RADII
        ],
    }
    if compiled.jacobian is not None:
        found["gauss-newton"] = [
            _scipy("trust-exact", lambda case: half, "jacobian", initial_trust_radius=r, max_trust_radius=1e3, **never) for r in RADII
        ]
    found |= {name: [_own(rule)] for name, rule in compiled.family.own_rules().items()}
    return {name: [Rule(name, run) for run in runs] for name, runs in found.items()}


RADII = (0.3, 1.0, 3.0, 30.0)


def tuned(
    rules: dict[str, list[Rule]], cases: Sequence[Case], starts: Sequence[Float[ndarray, " n"]], gtols: Sequence[float]
) -> list[Rule]:
    """Return the best setting of each rule by the median calls over the cases, the best rule first; equal ones by the mean."""
    scored = []
    for settings_of in rules.values():
        best: tuple[float, Rule] | None = None
        for rule in settings_of:
            calls = np.array([rule.calls(case, x, g) for case, x, g in zip(cases, starts, gtols, strict=True)])
            score = float(np.median(np.minimum(calls, MOST)) + 1e-3 * np.minimum(calls, MOST).mean())
            best = (score, rule) if best is None or score < best[0] else best
        assert best is not None
        scored.append(best)
    return [rule for _, rule in sorted(scored, key=lambda pair: pair[0])]
