"""Several starts for one mean field, and a cheap surface to compare them on."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy import ndarray
from pyscf import df, dft, gto, scf

from .model import Orbitals, Response
from .oracle import Oracle
from .problem import SCF

FIT = "def2-universal-jkfit"
LAST_FITTED = 86  # radon: what is heavier has no functions in that set
NEAR = 0.5  # hartree, between orbitals that may change places


def guesses(problem: SCF, names: Sequence[str]) -> Iterator[tuple[str, Orbitals | Exception]]:
    """Yield the name of each of PySCF's guesses and its point, one build each; or the error if a guess cannot be made."""
    mf = problem.oracle.mf
    for name in names:
        try:
            dm = np.asarray(mf.get_init_guess(mf.mol, name))
        except Exception as error:
            # An element without parameters, a basis without enough functions: PySCF raises what it likes, and other guesses remain.
            yield name, error
        else:
            yield name, problem.start(dm)


def swapped(problem: SCF, model: Response) -> Iterator[tuple[str, Orbitals]]:
    """Yield the points where an occupied and a virtual orbital have changed places: in each block of rotations those of nearest energies.

    Guesses of densities seldom differ in which shell of an atom is open; this does. Orbitals farther apart than `NEAR` stay.
    """
    frames, names = model.frame().gaps(), problem.oracle.rotations.names
    for block, (gaps, virtual, occupied) in enumerate(frames):
        if gaps.size and gaps.min() < NEAR:
            to, out = np.unravel_index(np.argmin(gaps), gaps.shape)
            turn = [np.zeros((len(v), len(o))) for _, v, o in frames]
            turn[block] = 0.5 * np.pi * np.outer(virtual[:, to], occupied[:, out])
            yield f"swap {names[block]}", problem.retract(model.orbitals, tuple(turn))


def shaken(problem: SCF, point: Orbitals, amplitude: float, seed: int) -> Orbitals:
    """Return a point without symmetry: rotated by a fixed pseudo-random rotation of norm `amplitude`, in radians, mostly near the gap."""
    generator = np.random.default_rng(seed)
    step: list[ndarray] = []
    for shape in problem.oracle.rotations.shapes(len(point.coeff[0])):
        virtual, occupied = np.arange(shape[0])[:, None], np.arange(shape[1])[::-1]
        step.append(generator.standard_normal(shape) / (1.0 + virtual + occupied))
    norm = np.sqrt(sum(np.vdot(k, k) for k in step))
    return problem.retract(point, tuple(amplitude / norm * k for k in step)) if norm else point


def distance(oracle: Oracle, first: Orbitals, second: Orbitals) -> float:
    r"""Return $\tfrac{m}{2} \sum_s |P_{1,s} - P_{2,s}|^2$: the number of electrons that two determinants have in different orbitals."""
    pairs = zip(oracle.occupied(first.coeff), oracle.occupied(second.coeff), strict=True)
    return float(oracle.electrons * sum(a.shape[1] - np.linalg.norm(a.T @ b) ** 2 for a, b in pairs))


def cheap_surface(mf: Any, level: int) -> scf.hf.SCF:
    """Return a mean field with nearly the same states as `mf`, at a fraction of the cost of integrals that are not fitted.

    Coulomb and exchange are fitted, a functional is integrated on PySCF's grid of the given level: 0 leaves gradients of 0.02 hartree
    per radian at the true minimum of a small molecule, 1 some 3e-4, as much as the fit alone.
    """
    cheap = mf.copy()
    for name in ("get_veff", "get_jk", "get_j", "get_k"):
        vars(cheap).pop(name, None)  # what was hung on the object computes the exact surface
    cheap.verbose, cheap.chkfile, cheap.callback = 0, None, None
    if not is_fitted(mf):
        cheap = cheap.density_fit(auxbasis=_fitting_functions(mf.mol))
    if isinstance(mf, dft.rks.KohnShamDFT):
        cheap.grids, cheap.nlcgrids = dft.gen_grid.Grids(mf.mol), dft.gen_grid.Grids(mf.mol)
        cheap.grids.level, cheap.nlcgrids.level = level, 0  # pairs of points
    return cheap


def _fitting_functions(mol: gto.Mole) -> dict[str, Any]:
    """Return a fitting set for each kind of atom: the universal one, or even-tempered functions where that has none."""
    symbols = {mol.atom_symbol(atom) for atom in range(mol.natm)}
    missing = {symbol for symbol in symbols if gto.charge(symbol) > LAST_FITTED}
    even_tempered = df.addons.aug_etb(mol) if missing else {}
    return {symbol: even_tempered[symbol] if symbol in missing else FIT for symbol in symbols}


def is_fitted(mf: Any) -> bool:
    """Say whether a mean field is density-fitted."""
    return vars(mf).get("with_df") is not None  # not getattr: PySCF answers an unknown name by importing every method it has


def in_memory(mf: Any) -> bool:
    """Say whether the integrals of a mean field fit into its memory, so that later builds need no new ones."""
    return bool(is_fitted(mf) or mf._eri is not None or mf.mol.incore_anyway or mf._is_mem_enough())
