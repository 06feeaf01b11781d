"""Is a converged determinant a minimum? The lowest curvature, found on the model and confirmed by exact products."""

from collections.abc import Callable, Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from physopt.core.tree import tree_combine, tree_dot, tree_norm

from .model import Response
from .modes import ModeSearch
from .semicanonical import OpenShell, SemiCanonical

Rotation = tuple[ndarray, ...]

# Hartree per squared radian. Turning a degenerate open shell in space costs nothing; finite convergence leaves such modes at about -|g|.
UNSTABLE = 1e-4
# Hartree per squared radian: a model that was right on one mode may still be this wrong on the next.
DOUBT = 0.1


class Stability(eqx.Module):
    r"""What is known about the lowest curvature $\lambda$ of $E(\kappa)$ at a stationary point, in hartree per squared radian.

    - `stable`: no mode below the threshold. `curvature`: $\lambda$, a Ritz value of the exact Hessian, so an upper bound.
    - `error`: the norm of its residual: an eigenvalue lies within it. `mode`: its rotation, of norm 1.
    - `products`: exact Hessian-vector products spent, each the price of one exact build.
    - `external`: the model's lowest curvature towards unequal spins; `None` for an unrestricted determinant.
    """

    stable: bool
    curvature: float
    error: float
    mode: Rotation
    products: int
    external: float | None


def analyze(model: Response, *, threshold: float = UNSTABLE, max_products: int = 12, trusting: bool = False) -> Stability:
    r"""Decide whether the determinant of `model`, exact and stationary there, is a minimum among its own kind.

    The lowest mode of the model's Hessian is put to the exact Hessian $H$. With each answer the model becomes exact for one more
    direction and gives the next mode (see `ModeSearch`), until

    - a Ritz value of $H$ is below `-threshold`: unstable, without doubt; or
    - the corrected model's lowest curvature is not, even if the model is as wrong as it ever was on what was not yet asked.

    That a linear molecule or an atom may be turned about its axes at no cost is known beforehand; such modes are left out.

    **Arguments:**

    - `model`: at the point's own anchor. `threshold`: in hartree per squared radian.
    - `max_products`: the budget; a mode still in doubt after that is judged by its Ritz value.
    - `trusting`: ask nothing where the model alone leaves no doubt, and do not look for unequal spins.
    """
    frame, respond = model.frame(), model.responder()
    exact = exact_curve(model)
    pack, unpack = _coordinates(frame)
    gaps = np.concatenate([g.ravel() for g, *_ in frame.gaps()])
    if not len(gaps):
        return Stability(True, np.inf, 0.0, unpack(gaps), 0, None)  # nothing to rotate
    search = ModeSearch(lambda x: pack(frame.curve(unpack(x), respond)), 2.0 * model.oracle.electrons * gaps, _starts(gaps))
    for rotation in _free_rotations(model):
        search.teach(pack(rotation), pack(rotation))  # raised out of the way, by 1 hartree
    value, error, mode, worst, products = 0.0, 0.0, 0.0 * gaps, DOUBT, 0
    while products < min(max_products, len(gaps)):
        expected, vector = search.lowest(accuracy=0.1 if trusting and not products else 0.02)
        novelty = search.novelty(vector)
        if trusting and not products:
            value, error, mode = expected, worst, vector
        if ((products or trusting) and expected - novelty * worst > -threshold) or novelty < 1e-3:
            break
        worst = max(worst, search.teach(vector, pack(exact(unpack(vector)))))
        products += 1
        value, error, mode = search.ritz()
        if value < -threshold:
            break
    return Stability(bool(value >= -threshold), value, error, unpack(mode), products, None if trusting else _external(model, frame))


def exact_curve(model: Response) -> Callable[[Rotation], Rotation]:
    r"""Return $\kappa \mapsto 2m (F_{vv} \kappa - \kappa F_{oo} + V[\delta P]_{vo})$ with PySCF's exact response $V$, one build a call."""
    oracle, frame = model.oracle, model.frame()
    occupied = oracle.occupied(model.orbitals.coeff)
    coeff, occ = oracle.mo_coeff(model.orbitals.coeff), oracle.mo_occ()
    if oracle.rotations.shared:  # PySCF's response of an open shell is that of two spins
        coeff, occ = np.stack([coeff, coeff]), np.stack([occ > 0, occ == 2]).astype(float)
    response = oracle.mf.gen_response(coeff, occ, hermi=1, with_nlc=False)

    def respond(moved: Sequence[ndarray]) -> Float[ndarray, "spin mo mo"]:
        halves = [d @ o.T for o, d in zip(occupied, moved, strict=True)]
        dm = oracle.electrons * np.stack([oracle.basis @ (d + d.T) @ oracle.basis.T for d in halves])
        return oracle.to_orthonormal(np.asarray(response(dm[0] if oracle.restricted else dm)))

    return lambda rotation: frame.curve(rotation, respond)


def _coordinates(frame: SemiCanonical | OpenShell) -> tuple[Callable[[Rotation], ndarray], Callable[[ndarray], Rotation]]:
    """Return the maps between a rotation and its entries in the semicanonical frame, where the Hessian is nearly diagonal."""
    frames = frame.gaps()
    ends = np.cumsum([g.size for g, *_ in frames])[:-1]

    def pack(rotation: Rotation) -> ndarray:
        return np.concatenate([(uv.T @ k @ uo).ravel() for k, (_, uv, uo) in zip(rotation, frames, strict=True)])

    def unpack(x: ndarray) -> Rotation:
        return tuple(uv @ part.reshape(g.shape) @ uo.T for part, (g, uv, uo) in zip(np.split(x, ends), frames, strict=True))

    return pack, unpack


def _free_rotations(model: Response) -> list[Rotation]:
    """Return the rotations of all orbitals in space that the Hamiltonian allows and the determinant notices, orthonormal."""
    oracle = model.oracle
    mol, hcore = oracle.mf.mol, oracle.to_orthonormal(oracle.hcore)[0]
    coords = mol.atom_coords()
    axes = np.linalg.svd(coords - coords.mean(axis=0))[2]
    with mol.with_common_origin(coords.mean(axis=0)):
        moments = np.einsum("ax,xij->aij", axes, mol.intor("int1e_cg_irxp", comp=3))
    found: list[Rotation] = []
    for moment in moments:
        generator = oracle.basis.T @ moment @ oracle.basis
        if np.linalg.norm(hcore @ generator - generator @ hcore) > 1e-6 * np.linalg.norm(hcore):
            continue
        rotation = tuple(rows.T @ generator @ columns for rows, columns in oracle.rotations.pairs(model.orbitals.coeff))
        for other in found:
            rotation = tree_combine([1.0, -tree_dot(rotation, other)], [rotation, other])
        if tree_norm(rotation) > 0.05:  # else a closed shell about that axis
            found.append(tree_combine([1.0 / tree_norm(rotation)], [rotation]))
    return found


def _starts(gaps: Float[ndarray, " n"], count: int = 4) -> Float[ndarray, "k n"]:
    # A start without a symmetry's component never finds that symmetry's modes: the last one, fixed, has some of everything.
    noise = np.random.default_rng(0).standard_normal(len(gaps)) / np.maximum(abs(gaps), 0.1)
    return np.vstack([np.eye(len(gaps))[np.argsort(gaps)[:count]], noise / np.linalg.norm(noise)])


def _external(model: Response, frame: SemiCanonical | OpenShell) -> float | None:
    """Return the model's lowest curvature for rotations of opposite sign for the two spins: no Coulomb response, one spin's exchange."""
    oracle, kernel = model.oracle, model.oracle.kernel
    if not oracle.restricted or kernel is None:
        return None
    pack, unpack = _coordinates(frame)
    gaps = np.concatenate([g.ravel() for g, *_ in frame.gaps()])
    (c,), n = model.orbitals.coeff, oracle.nocc[0]
    o, v = c[:, :n], c[:, n:]

    def curve(x: ndarray) -> ndarray:
        (rotation,) = unpack(x)
        moved = v @ rotation
        orbitals, signs = oracle.basis @ np.hstack([o + moved, o - moved]), np.repeat([0.5, -0.5], n)
        induced = kernel([orbitals, orbitals], [signs, -signs], 1.0)[0]
        return 4.0 * (gaps * x + pack((v.T @ oracle.basis.T @ induced @ oracle.basis @ o,)))

    return ModeSearch(curve, 4.0 * gaps, _starts(gaps)).lowest(accuracy=0.02)[0]
