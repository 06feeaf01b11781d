"""Stability of a converged determinant: the lowest curvature, found on the model and confirmed by exact products."""

import dataclasses
from collections.abc import Callable, Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .model import Response
from .modes import STARTS, ModeSearch, Operator
from .semicanonical import OpenShell, Respond, SemiCanonical
from .symmetry import Rotation, free_rotations, involutions

# Hartree per squared radian, as in PySCF: a mode that should cost nothing is left at about -|g| by finite convergence.
UNSTABLE = 1e-5
# Relative to the orbital-energy differences: how wrong a good model may be where it was not asked, and one that is believed in part.
DOUBT, DISBELIEF = 0.1, 0.5
CAUTION = 2.0  # the next direction may be worse than the worst that was seen
RECENT = 15  # ... in so many products: what was wrong before is known by now. With 8 a mode that the model hides was overlooked.
BUDGET = 40


class Stability(eqx.Module):
    r"""What is known about the lowest curvature $\lambda$ of $E(\kappa)$ at a stationary point, in hartree per squared radian.

    - `stable`: no mode below the threshold; `None` if the budget ended before that was decided.
    - `curvature`: a Ritz value of the exact Hessian, so an upper bound of $\lambda$; infinite before the first product.
    - `error`: the norm of its residual: an eigenvalue lies within it. `mode`: its rotation, of norm 1.
    - `floor`: $\lambda$ is not below it, as long as the relative error of the model is nowhere larger than twice the largest of the last
      15 seen, or than 10 %. $-\infty$ for an unstable state, where it is not computed.
    - `products`: exact Hessian-vector products spent, each the price of one exact build.
    - `external`: the lowest curvature towards unequal spins: below zero it is the `curvature` of a proven instability, else the
      `floor`. `None` for an unrestricted determinant, and if it was not tested or not decided.
    """

    stable: bool | None
    curvature: float
    error: float
    mode: Rotation
    floor: float
    products: int
    external: float | None = None

    def __str__(self) -> str:
        verdict = {True: "stable", False: "unstable", None: "not decided whether stable"}[self.stable]
        bounds = [f"at most {self.curvature:.4g}"] if np.isfinite(self.curvature) else []
        bounds += [f"estimated not below {self.floor:.4g}"] if np.isfinite(self.floor) else []
        return f"{verdict}: lowest curvature {', '.join(bounds)} hartree/rad^2" if bounds else verdict


def analyze(model: Response, *, threshold: float = UNSTABLE, max_products: int = BUDGET, trusting: bool = False) -> Stability:
    r"""Decide whether the determinant of `model`, exact and stationary there, is a minimum among its own kind.

    The exact Hessian $H$ tests the lowest mode of the model's Hessian, the modes of all symmetries in a single product. With
    each product the model becomes exact for one more direction of each symmetry and gives the next modes (see `ModeSearch`), until

    - a Ritz value of $H$ is below `-threshold`: unstable, without doubt; or
    - the corrected model's lowest curvature is not, even if the model's error on all untested directions is twice the largest of the
      last 15 seen.
      That includes one product with random vectors, and a second search from other starts has to agree.

    Rotations of an atom, or of a linear molecule about its axis, cost no energy. This is known beforehand, and such modes are left out. A
    closed shell is then tested for unequal spins in the same way, but no product is spent if the model leaves no doubt.

    **Arguments:**

    - `model`: at the point's own anchor. `threshold`: in hartree per squared radian. `max_products`: the budget.
    - `trusting`: spend no product if the model alone leaves no doubt, and do not test for unequal spins.
    """
    frame, respond = model.frame(), model.responder()
    pack, unpack = _coordinates(frame)
    gaps = np.concatenate([g.ravel() for g, *_ in frame.gaps()])
    if not len(gaps):
        return Stability(True, np.inf, np.inf, unpack(gaps), np.inf, 0)  # nothing to rotate
    diagonal, symmetry = 2.0 * model.oracle.electrons * gaps, [lambda x, f=f: pack(f(unpack(x))) for f in involutions(model)]

    def search(respond: Respond) -> ModeSearch:
        return ModeSearch(lambda x: pack(frame.curve(unpack(x), respond)), diagonal, lambda x: _sectors(x, symmetry), free)

    def exact(**spins: bool) -> Operator:
        curve = exact_curve(model, **spins)
        return lambda x: pack(curve(unpack(x)))

    doubt = DOUBT if model.share == 1.0 else DISBELIEF
    free = [pack(rotation) for rotation in free_rotations(model)]
    found, doubt = _decide(search(respond), exact(), unpack, doubt, threshold, max_products, trusting)
    if trusting or not model.oracle.restricted or found.stable is False:
        return found
    other = search(_opposite(model))
    external, _ = _decide(other, exact(singlet=False), unpack, doubt, threshold, max_products, trusting=True)
    told = {True: external.floor, False: external.curvature, None: None}[external.stable]
    return dataclasses.replace(found, products=found.products + external.products, external=told)


def _decide(
    search: ModeSearch,
    exact: Operator,
    unpack: Callable[[ndarray], Rotation],
    doubt: float,
    threshold: float,
    max_products: int,
    trusting: bool,
) -> tuple[Stability, float]:
    """Return the verdict, and the doubt about the model after all that was seen of it."""
    probes = [] if trusting else [lambda: search.random(0, STARTS), search.errors]
    products, seed, agreed, least, errors = 0, 0, False, doubt, []
    value, error, mode, floor = np.inf, np.inf, np.zeros(search.size), np.inf
    while search.sectors:
        modes = search.lowest(doubt, 0.3 * threshold, 0.02)
        floor, expected = min(modes, key=lambda pair: pair[0])
        if not products:
            mode = expected
        settled = floor > -threshold and (products or trusting)
        if settled and len(probes) == 1 and min(f for f, _ in search.lowest(search.suspicion(), 0.3 * threshold, 0.02)) > -threshold:
            probes = []  # even if all that the random vectors saw came from one direction
        if settled and not probes:
            if agreed:
                break
            agreed, seed = True, seed + 1
            search.restart(seed)
            continue
        agreed = False
        vectors = probes.pop(0)() if settled else [v for _, v in modes]
        seen = search.ask(vectors, exact) if products < max_products else None
        if seen is None and settled and products < max_products:
            continue  # small enough to be known in full
        if seen is None:
            return Stability(None, value, error, unpack(mode), floor, products), doubt
        products, errors = products + 1, [*errors, seen]
        doubt = max(least, CAUTION * max(errors[-RECENT:]))
        value, error, mode = search.ritz()
        if value < -threshold:
            return Stability(False, value, error, unpack(mode), -np.inf, products), doubt
    return Stability(True, value, error, unpack(mode), floor, products), doubt


def exact_curve(model: Response, *, singlet: bool = True) -> Callable[[Rotation], Rotation]:
    r"""Return $\kappa \mapsto 2m (F_{vv} \kappa - \kappa F_{oo} + V[\delta P]_{vo})$ with PySCF's exact response $V$, one build a call.

    **Arguments:** `singlet`: the spins of a closed shell rotate alike; otherwise in opposite directions.
    """
    oracle, frame = model.oracle, model.frame()
    occupied = oracle.occupied(model.orbitals.coeff)
    coeff, occ = oracle.mo_coeff(model.orbitals.coeff), oracle.mo_occ()
    if oracle.rotations.shared:  # PySCF's response of an open shell is that of two spins
        coeff, occ = np.stack([coeff, coeff]), np.stack([occ > 0, occ == 2]).astype(float)
    spins = {} if singlet else {"singlet": False}
    response = oracle.mf.gen_response(coeff, occ, hermi=1, with_nlc=False, **spins)

    def respond(moved: Sequence[ndarray]) -> Float[ndarray, "spin mo mo"]:
        halves = [d @ o.T for o, d in zip(occupied, moved, strict=True)]
        dm = oracle.electrons * np.stack([oracle.basis @ (d + d.T) @ oracle.basis.T for d in halves])
        return oracle.to_orthonormal(np.asarray(response(dm[0] if oracle.restricted else dm)))

    return lambda rotation: frame.curve(rotation, respond)


def _opposite(model: Response) -> Respond:
    """Return the model's response to opposite changes of a closed shell's spins: of one spin, and without Coulomb's."""
    oracle, share = model.oracle, model.share
    if oracle.kernel is None or not share:
        return lambda moved: np.zeros_like(model.anchor.fock)
    half, (o,) = 0.5 * oracle.dm_of(model.anchor.density), oracle.occupied(model.orbitals.coeff)
    kernel = oracle.kernel.at(oracle.mf, np.stack([half, half]))

    def respond(moved: Sequence[ndarray]) -> Float[ndarray, "spin mo mo"]:
        (d,) = moved
        orbitals, signs = oracle.basis @ np.hstack([o + d, o - d]), np.repeat([0.5, -0.5], o.shape[1])
        return share * oracle.to_orthonormal(kernel([orbitals, orbitals], [signs, -signs], 1.0)[:1])

    return respond


def _coordinates(frame: SemiCanonical | OpenShell) -> tuple[Callable[[Rotation], ndarray], Callable[[ndarray], Rotation]]:
    """Return the maps between a rotation and its entries in the semicanonical frame, where the Hessian is nearly diagonal."""
    frames = frame.gaps()
    ends = np.cumsum([g.size for g, *_ in frames])[:-1]

    def pack(rotation: Rotation) -> ndarray:
        return np.concatenate([(uv.T @ k @ uo).ravel() for k, (_, uv, uo) in zip(rotation, frames, strict=True)])

    def unpack(x: ndarray) -> Rotation:
        return tuple(uv @ part.reshape(g.shape) @ uo.T for part, (g, uv, uo) in zip(np.split(x, ends), frames, strict=True))

    return pack, unpack


def _sectors(vector: Float[ndarray, " n"], symmetry: Sequence[Operator]) -> Float[ndarray, "sector n"]:
    """Return a vector's parts that each of the commuting `symmetry` maps keeps or turns around."""
    parts = vector[None]
    for operation in symmetry:
        images = np.stack([operation(part) for part in parts])
        parts = 0.5 * np.concatenate([parts + images, parts - images])
    return parts
