"""The auxiliary functions of the response model: even-tempered Gaussians, a few numbers for each element."""

import abc
import warnings
from collections.abc import Mapping, Sequence

import equinox as eqx
import numpy as np
from pyscf import df, gto
from pyscf.data import elements, radii


class AbstractAuxiliary(eqx.Module):
    """Chooses the functions of each element; exponents are in 1 / bohr^2."""

    @abc.abstractmethod
    def charge_shells(self, symbol: str) -> list[tuple[int, float]]:
        """Return `(l, exponent)` of the functions that charges are fitted with."""

    @abc.abstractmethod
    def exchange_shells(self, symbol: str) -> list[tuple[int, float]]:
        """Return `(l, exponent)` of the functions that exchange is fitted with."""


class Tabulated(AbstractAuxiliary):
    """The primitive functions of a fitting basis set that PySCF knows, up to f, for charges and exchange; other elements as `otherwise`.

    Four functions per function of a double-zeta basis: the model costs several times more, and its error is several times smaller.

    ??? cite "Reference"
        def2-universal-jfit: Weigend, Phys. Chem. Chem. Phys. 8 (2006) 1057.
    """

    name: str = "def2-universal-jfit"
    otherwise: AbstractAuxiliary = eqx.field(default_factory=lambda: Auxiliary())

    def charge_shells(self, symbol: str) -> list[tuple[int, float]]:
        """See `AbstractAuxiliary.charge_shells`."""
        return self._shells(symbol) or self.otherwise.charge_shells(symbol)

    def exchange_shells(self, symbol: str) -> list[tuple[int, float]]:
        """See `AbstractAuxiliary.exchange_shells`."""
        return self._shells(symbol) or self.otherwise.exchange_shells(symbol)

    def _shells(self, symbol: str) -> list[tuple[int, float]]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PySCF's advice to look for the missing element elsewhere
                shells = gto.basis.load(self.name, symbol)
        except gto.basis.BasisNotFoundError:
            return []
        return [(angular, primitive[0]) for angular, *primitives in shells for primitive in primitives if angular < 4]


class Auxiliary(AbstractAuxiliary):
    r"""Exponents of the s, p and d functions that charges and exchange are fitted with.

    Charges: for each angular momentum $l$ a geometric series from $a_l / R^2$ upward with ratio $b_l$, while below $c_l Z^2$, where the
    core ends; $R$ is the covalent radius in bohr. Exchange: `exchange[l]` $/ (s R)^2$ with the element's `scale` $s$.

    **Arguments:**

    - `lowest`, `ratio`, `highest`: $a_l, b_l, c_l$ for $l = 0, 1, 2$.
    - `exchange`: for each $l$. `light`: the same of H and He. `scale`: by element symbol; 1 for the rest.
    """

    lowest: tuple[float, ...] = (0.2, 0.2, 0.3)
    ratio: tuple[float, ...] = (3.2, 3.2, 2.8)
    highest: tuple[float, ...] = (1.0, 0.25, 0.08)
    exchange: tuple[tuple[float, ...], ...] = ((0.3, 1.5), (0.3, 1.5), (0.8,))
    light: tuple[tuple[float, ...], ...] = ((0.3, 1.5), (0.3, 1.5))
    scale: Mapping[str, float] = eqx.field(default_factory=dict)

    def charge_shells(self, symbol: str) -> list[tuple[int, float]]:
        """See `AbstractAuxiliary.charge_shells`."""
        number, radius = _size(symbol)
        shells = []
        for angular, (lowest, ratio, highest) in enumerate(zip(self.lowest, self.ratio, self.highest, strict=True)):
            if number <= 2 and angular == 2:
                continue  # no p shell, no d density
            exponent = lowest / radius**2
            count = max(1 + int(np.log(highest * number**2 / exponent) / np.log(ratio)), 3 - angular)
            shells += [(angular, exponent * ratio**k) for k in range(count)]
        return shells

    def exchange_shells(self, symbol: str) -> list[tuple[int, float]]:
        """See `AbstractAuxiliary.exchange_shells`."""
        number, radius = _size(symbol)
        radius *= self.scale.get(elements.ELEMENTS[number], 1.0)
        ratios = self.exchange if number > 2 else self.light
        return [(angular, ratio / radius**2) for angular, each in enumerate(ratios) for ratio in each]


def auxiliary_mol(mol: gto.Mole, shells: Mapping[str, Sequence[tuple[int, float]]]) -> gto.Mole:
    """Return a molecule with the given functions of each element; ghost atoms, which have no charge, have none."""
    basis = {symbol: [[angular, [exponent, 1.0]] for angular, exponent in each] for symbol, each in shells.items()}
    return df.addons.make_auxmol(mol, basis)


def real_symbols(mol: gto.Mole) -> list[str]:
    """Return the distinct symbols of the atoms that are not ghosts, as PySCF writes them."""
    return sorted({mol.atom_symbol(a) for a in range(mol.natm) if gto.charge(mol.atom_symbol(a))})


def _size(symbol: str) -> tuple[int, float]:
    number = gto.charge(symbol)
    return number, radii.COVALENT[min(number, len(radii.COVALENT) - 1)]
