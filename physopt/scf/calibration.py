"""What recorded runs say about the error of a corrected cheap surface: for which fields it is known, and how large it was."""

import functools
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from pyscf import dft
from pyscf.data import elements

from physopt.core.weights import WeightsError, load_weights

from .auxiliary import real_symbols
from .meter import BUILDS

SHIPPED = Path(__file__).with_name("calibration.safetensors")
FUNCTIONALS = ("LDA", "GGA", "MGGA")
KINDS = ("HF", *(f"{before}{name}" for before in ("", "hybrid ", "range-separated ") for name in FUNCTIONALS))
SPINS = ("restricted", "unrestricted", "restricted open-shell")
SAFETY = 2.0  # times the largest that was recorded
FEWEST = 5  # runs of a kind before it counts as known
LEVEL = 3  # of the grids of the recorded runs, PySCF's default: finer ones are nearer to them than the cheap surface is


class Calibration(eqx.Module):
    r"""The errors of corrected surfaces in recorded runs, and what kinds of fields were recorded.

    What a corrected surface misses is the error of its response, times the distance moved. The more the surface misses at all, the larger
    is the first exact gradient $g_1$. So the errors are kept as $\kappa = |g - \hat g| / (|g_1| \, |P - P_1|)$, which is much the same for
    all functionals and basis sets. A new run is as likely as each of $n$ recorded ones to have the largest $\kappa$: if it is like them,
    its error is below the largest recorded $\kappa$ with a probability of $n / (n + 1)$. `SAFETY` is for fields that are less like them.

    **Arguments:**

    - `largest`: $\kappa$ in PySCF's norm of the gradient, one for each of `KINDS`. `runs`: how many, for each kind and each of `SPINS`.
    - `elements`: how many of the runs have the element, by atomic number.

    ??? cite "Reference"
        Vovk, Gammerman, Shafer, *Algorithmic Learning in a Random World* (2005), chapter 2: conformal prediction.
    """

    largest: Float[ndarray, " kind"] = eqx.field(default_factory=lambda: np.zeros(len(KINDS)))
    runs: Int[ndarray, "kind spin"] = eqx.field(default_factory=lambda: np.zeros((len(KINDS), len(SPINS)), dtype=np.int64))
    elements: Int[ndarray, " element"] = eqx.field(default_factory=lambda: np.zeros(len(elements.ELEMENTS), dtype=np.int64))

    @classmethod
    def of(cls, records: Sequence[tuple[str, str, Sequence[str], float]]) -> "Calibration":
        """Return the calibration of runs: kind, spin, symbols of the elements, and $\\kappa$ of each."""
        made = cls()
        for kind, spin, symbols, error in records:
            row = KINDS.index(kind)
            made.largest[row] = max(made.largest[row], error)
            made.runs[row, SPINS.index(spin)] += 1
            made.elements[[elements.charge(symbol) for symbol in set(symbols)]] += 1
        return made

    def margin(self, first: float, moved: float) -> float:
        """Return the bound of the error of $|g|$, in PySCF's norm, at the distance `moved` from an exact build where it was `first`."""
        return SAFETY * float(self.largest.max()) * first * moved

    def unknown(self, mf: Any) -> str | None:
        """Return what of a mean field no recorded run had, in words; `None` if they know it all."""
        kind, spin = kind_of(mf), spin_of(mf)
        if kind not in KINDS or not self.runs[KINDS.index(kind)].sum() >= FEWEST:
            return f"no calibration for {kind} fields"
        if not self.runs[KINDS.index(kind), SPINS.index(spin)]:
            return f"no calibration for {spin} {kind} fields"
        strange = sorted(s for s in set(real_symbols(mf.mol)) if not self.elements[elements.charge(s)])
        if strange:
            return f"no calibration for {', '.join(strange)}"
        return _addition(mf)


def _addition(mf: Any) -> str | None:
    """Return what a mean field has beyond those that were recorded, in words."""
    # Not getattr: PySCF answers an unknown name by importing every method it has.
    for name in ("with_solvent", "with_x2c", "with_df"):
        if vars(mf).get(name) is not None:
            return f"no calibration for fields {name.replace('_', ' ')}"
    if mf.mol.has_ecp():
        return "no calibration for core potentials"
    own = [name for name in BUILDS if name in vars(mf) and not _is_counted(mf, name)]
    if own:
        return f"the cheap surface does not know this object's own {own[0]}"
    grids = vars(mf).get("grids")
    if grids is not None and (grids.level < LEVEL or grids.atom_grid):
        return f"no calibration for grids below level {LEVEL} or of their own sizes"
    return None


def _is_counted(mf: Any, name: str) -> bool:
    """Say whether what is hung on a mean field only wraps the method of its class, as `Meter` does."""
    return getattr(inspect.unwrap(vars(mf)[name]), "__func__", None) is getattr(type(mf), name)


def kind_of(mf: Any) -> str:
    """Return the kind of field: `"HF"`, or the functional's, such as `"hybrid GGA"`."""
    if not isinstance(mf, dft.rks.KohnShamDFT):
        return "HF"
    integrator = mf._numint
    if mf.do_nlc():
        return "nonlocal correlation"
    omega, _, fraction = integrator.rsh_and_hybrid_coeff(mf.xc, spin=mf.mol.spin)
    before = "range-separated " if omega else "hybrid " if fraction else ""
    return before + integrator._xc_type(mf.xc)


def spin_of(mf: Any) -> str:
    """Return which of `SPINS` a mean field is."""
    return SPINS[2] if mf.istype("ROHF") else SPINS[1] if mf.istype("UHF") else SPINS[0]


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration; raises `WeightsError` for a file that is damaged or foreign, `OSError` for one that is missing."""
    found = load_weights(path, Calibration())
    if (found.largest < 0.0).any() or (found.runs < 0).any() or (found.elements < 0).any():
        raise WeightsError(f"{path} has errors or counts below zero: it is no calibration.")
    return found


@functools.cache
def shipped() -> Calibration:
    """Return the calibration on the molecules of `data/training` and `data/molecules`; `benchmarks/predicted_end.py` makes it."""
    return load_calibration(SHIPPED)
