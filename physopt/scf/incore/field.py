"""Hartree and Fock's equations from stored integrals: fields, their energy, and a solution that JAX can differentiate."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Bool, Float, Int

from .integrals import Integrals

MEMORY = 8  # Fock matrices that are extrapolated from
TOL = 1e-9  # hartree

Spins = Float[Array, "spins n n"]


class Field(eqx.Module):
    r"""A self-consistent field; `spins` is one where orbitals are shared (RHF), else two (UHF).

    - `energy`: in hartree. `density`: of each spin, $D = C_o C_o^T$.
    - `orbitals`, `orbital_energies`: in order of energy. Orbitals have derivative zero here, because degenerate ones have none.
    - `residual`: the largest entry of $FDS - SDF$ in an orthonormal basis, in hartree. `converged`: whether it is below the tolerance.
    - `iterations`: Fock matrices that were built.
    """

    energy: Float[Array, ""]
    density: Spins
    orbitals: Spins
    orbital_energies: Float[Array, "spins n"]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]
    iterations: Int[Array, ""]


def fock(integrals: Integrals, density: Spins) -> Spins:
    r"""Return $F_s = h + \sum_{kl} (ij|kl) D^{tot}_{kl} - \sum_{kl} (ik|jl) D^s_{kl}$."""
    total = density.sum(axis=0) * (2 / len(density))
    coulomb = jnp.einsum("ijkl,kl->ij", integrals.two, total)
    return integrals.core + coulomb - jnp.einsum("ikjl,skl->sij", integrals.two, density)


def energy(integrals: Integrals, density: Spins, built: Spins) -> Float[Array, ""]:
    r"""Return $E = E_0 + \tfrac12 \sum_s \mathrm{tr}\, D_s (h + F_s)$; the field `built` is that of the density."""
    return integrals.constant + jnp.einsum("sij,sij->", density, integrals.core + built) / len(density)


def occupied(orbitals: Spins, electrons: tuple[int, int]) -> Spins:
    """Return the density of each spin from the first orbitals."""
    return jnp.stack([c[:, :k] @ c[:, :k].T for c, k in zip(orbitals, electrons, strict=False)])


def solve(
    integrals: Integrals,
    *,
    unrestricted: bool | None = None,
    guess: Spins | None = None,
    tol: float = TOL,
    most: int = 200,
) -> Field:
    r"""Solve the Roothaan-Hall (RHF) or Pople-Nesbet (UHF) equations by DIIS, in a way that JAX can trace, batch and differentiate.

    Derivatives with respect to the integrals are those of the solution, whatever number of iterations led to it: one step of Newton's
    method, which does not change a solution, has the derivative of the implicit function. Energies can be differentiated twice.

    **Arguments:**

    - `unrestricted`: whether spins have orbitals of their own; by default only where their electrons differ in number.
    - `guess`: densities of each spin to begin with, by default `integrals.guess`. A broken symmetry has to be in the guess.
    - `tol`: of the residual, in hartree. `most`: Fock matrices that are built.

    The solution is one where the lowest orbitals are filled. It may be a saddle point; `physopt.accelerate` tests for that.

    **Raises:** `ValueError` for unequal spins that are to share orbitals, single precision, or more electrons than orbitals.

    ??? cite "Reference"
        Pulay, "Improved SCF convergence acceleration", *J. Comput. Chem.* 3 (1982) 556; Bolte, Pauwels, Vaiter, "One-step differentiation
        of iterative algorithms", *NeurIPS* (2023).
    """
    electrons = integrals.electrons
    if integrals.core.ndim != 2 or most < 2:
        raise ValueError(
            f"integrals of shape {integrals.core.shape}, most={most}: a batch needs jax.vmap(solve), and a field two Fock matrices."
        )
    spins = 1 + (electrons[0] != electrons[1] if unrestricted is None else unrestricted)
    if spins == 1 and electrons[0] != electrons[1]:
        raise ValueError(f"{electrons[0]} electrons up and {electrons[1]} down cannot share all orbitals; write unrestricted=True.")
    if not 0 <= max(electrons) <= integrals.size or min(electrons) < 0 or max(electrons) == 0:
        raise ValueError(f"{electrons} electrons, up and down, do not fit into {integrals.size} orbitals.")
    if integrals.core.dtype != jnp.float64:
        raise ValueError('Single precision loses the energy; call jax.config.update("jax_enable_x64", True) before anything is made.')
    begun = jax.lax.stop_gradient(jnp.stack([integrals.guess] * spins) if guess is None else jnp.asarray(guess))
    if begun.shape != (spins, integrals.size, integrals.size):
        raise ValueError(
            f"The guess has shape {begun.shape}, and needs one density for each spin: {(spins, integrals.size, integrals.size)}."
        )
    return _solved(integrals, begun, tol, most)


@eqx.filter_jit
def _solved(integrals: Integrals, guess: Spins, tol: float, most: int) -> Field:
    orbitals, residual, iterations = _diis(jax.lax.stop_gradient(integrals), guess, tol, most)
    density = occupied(_newton(integrals, orbitals), integrals.electrons)
    built = fock(integrals, density)
    levels = jnp.linalg.eigvalsh(_orthonormal(integrals, built))
    return Field(energy(integrals, density, built), density, orbitals, levels, residual, residual <= tol, iterations)


def _root(overlap: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Return the inverse square root."""
    values, vectors = jnp.linalg.eigh(overlap)
    return (vectors / jnp.sqrt(values)) @ vectors.T


def _orthonormal(integrals: Integrals, built: Spins) -> Spins:
    """Return Fock matrices in an orthonormal basis, by Cholesky, whose derivative needs no distances of eigenvalues."""
    lower = jnp.linalg.cholesky(integrals.overlap)
    half = jax.vmap(lambda f: jax.scipy.linalg.solve_triangular(lower, f, lower=True))(built)
    return jax.vmap(lambda f: jax.scipy.linalg.solve_triangular(lower, f.T, lower=True))(half)


def _diis(integrals: Integrals, guess: Spins, tol: float, most: int) -> tuple[Spins, Float[Array, ""], Int[Array, ""]]:
    """Return orbitals, the residual of their density, and how many Fock matrices were built."""
    root, shape = _root(integrals.overlap), (MEMORY, *guess.shape)

    def filled(built: Spins) -> Spins:
        return root @ jnp.linalg.eigh(root @ built @ root)[1]

    def look(density: Spins) -> tuple[Spins, Spins]:
        built = fock(integrals, density)
        product = built @ density @ integrals.overlap
        return built, root @ (product - product.mT) @ root

    def unfinished(state: Any) -> Bool[Array, ""]:
        return (state[-1] + 2 < most) & ~(jnp.abs(state[1]).max() <= tol)

    def step(state: Any) -> Any:
        _, error, built, fields, errors, count = state
        fields, errors = (kept.at[count % MEMORY].set(new) for kept, new in ((fields, built), (errors, error)))
        orbitals = filled(jnp.einsum("k,ksij->sij", _mixture(errors, jnp.arange(MEMORY) <= count), fields))
        built, error = look(occupied(orbitals, integrals.electrons))
        return orbitals, error, built, fields, errors, count + 1

    start = jnp.where(jnp.any(guess != 0.0), 1.0, 0.0)
    built = integrals.core + start * (fock(integrals, guess) - integrals.core)
    orbitals = filled(built)
    built, error = look(occupied(orbitals, integrals.electrons))
    state = (orbitals, error, built, jnp.zeros(shape), jnp.zeros(shape), jnp.asarray(0))
    orbitals, error, *_, count = jax.lax.while_loop(unfinished, step, state)
    return orbitals, jnp.abs(error).max(), count + 2


def _mixture(errors: Float[Array, "k spins n n"], used: Bool[Array, " k"]) -> Float[Array, " k"]:
    r"""Return the shares $c$, $\sum c = 1$, that make $|\sum c_k e_k|$ least; those that are not used have none."""
    flat = errors.reshape(len(errors), -1)
    products = flat @ flat.T
    inner = jnp.where(used[:, None] & used[None], products / (jnp.diag(products).max() + 1e-300), 0.0)
    shares = jnp.linalg.solve(inner + jnp.diag(jnp.where(used, 1e-14, 1.0)), used.astype(float))
    return shares / shares.sum()


def _newton(integrals: Integrals, orbitals: Spins) -> Spins:
    r"""Return the orbitals one step of Newton's method later, which moves a solution by nothing, and has its derivative."""
    one, metric = jnp.eye(integrals.size), orbitals.mT @ integrals.overlap @ orbitals  # equal, but for their derivatives
    orbitals = orbitals @ (1.875 * one - 1.25 * metric + 0.375 * metric @ metric)  # the inverse square root near one, to second order
    pairs, sizes = integrals.electrons[: len(orbitals)], integrals.size

    def rotated(turn: list[Array]) -> Spins:
        return jnp.stack([c @ rotation(x, sizes) for c, x in zip(orbitals, turn, strict=True)])

    def slope(turn: list[Array]) -> list[Array]:
        return mixed(integrals, rotated(turn), integrals.electrons)

    zero = [jnp.zeros((sizes - k, k)) for k in pairs]
    force, product = jax.linearize(slope, zero)
    levels = jnp.einsum("sni,snm,smi->si", orbitals, fock(integrals, occupied(orbitals, integrals.electrons)), orbitals)
    gaps = [jax.lax.stop_gradient(jnp.maximum(e[k:, None] - e[None, :k], 0.1)) for e, k in zip(levels, pairs, strict=True)]
    turn = cg(product, [-f for f in force], tol=1e-12, maxiter=200, M=lambda v: [x / d for x, d in zip(v, gaps, strict=True)])[0]
    return rotated(turn)


def rotation(turn: Float[Array, "v o"], size: int) -> Float[Array, "n n"]:
    r"""Return Cayley's rotation $(1 - K/2)^{-1} (1 + K/2)$, $K_{ai} = -K_{ia} = \kappa_{ai}$, occupied $i$ before virtual $a$."""
    k = turn.shape[1]
    half = jnp.zeros((size, size)).at[k:, :k].set(turn / 2.0)
    half = half - half.T
    return jnp.linalg.solve(jnp.eye(size) - half, jnp.eye(size) + half)


def mixed(integrals: Integrals, orbitals: Spins, electrons: tuple[int, int]) -> list[Array]:
    r"""Return the blocks $F_{ai}$ between virtual and occupied orbitals of each spin; half, or a quarter for RHF, of $dE/d\kappa$."""
    built = orbitals.mT @ fock(integrals, occupied(orbitals, electrons)) @ orbitals
    return [f[k:, :k] for f, k in zip(built, electrons, strict=False)]
