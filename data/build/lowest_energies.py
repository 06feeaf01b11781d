"""Search the lowest energy of each hard case with plain PySCF, and write data/held-out/hard/lowest.csv.

    python data/build/lowest_energies.py [SECONDS]

Every start is converged by CDIIS, or by 10 cycles or one of it and the second-order solver, and then followed along its internal
instabilities until it is stable. Cases that are in the file already are left alone; a case gets SECONDS (180) of one core
and then keeps the best so far.
"""

import csv
import sys
import time
import warnings

import numpy as np
from files import DATA
from scipy.linalg import expm

from physopt.scf.molecule import mean_field
from physopt.scf.xyz import read_xyz

FOLDER = DATA / "held-out" / "hard"
FILE = FOLDER / "lowest.csv"
GUESSES = ("minao", "atom", "huckel", "sap", "hcore")
COLUMNS = ("case", "energy", "xc", "basis", "how")
RANDOM_STARTS = 8
ROUNDS = 8
SAME = 1e-6  # hartree


class OutOfTimeError(Exception):
    """The case has had its seconds."""


class Search:
    """The states that one case was seen to converge to."""

    def __init__(self, molecule, seconds):
        self.molecule = molecule
        self.until = time.process_time() + seconds
        self.found = []  # energy, how, mean field

    def fresh(self):
        """A new mean field that stops when the time is over."""
        mf = mean_field(self.molecule, self.molecule.xc, self.molecule.basis, rohf=self.molecule.rohf)
        return mf.set(conv_tol=1e-10, conv_tol_grad=5e-6, callback=self._watch)

    def _watch(self, envs):
        if time.process_time() > self.until:
            raise OutOfTimeError

    def cdiis(self, how, dm):
        """Converge from a density by the default method."""
        mf = self.fresh().set(max_cycle=100)
        mf.kernel(dm)
        self._settle(how, mf)

    def newton(self, how, dm, cycles=10):
        """Converge from a density by some cycles of the default method and the second-order solver."""
        mf = self.fresh().set(max_cycle=cycles)
        mf.kernel(dm)
        self.from_orbitals(how, mf.mo_coeff, mf.mo_occ)

    def from_orbitals(self, how, mo_coeff, mo_occ):
        """Converge from orbitals by the second-order solver."""
        mf = self.fresh().newton().set(max_cycle=80)
        mf.kernel(mo_coeff, mo_occ)
        self._settle(how, mf)

    def _settle(self, how, mf):
        for count in range(ROUNDS + 1):
            if not mf.converged:
                return
            if any(abs(mf.e_tot - energy) < 1e-8 for energy, _, _ in self.found):
                break  # known to be stable
            mo_coeff, _, stable, _ = mf.stability(return_status=True)
            if stable or count == ROUNDS:
                break
            mf = self.fresh().newton().set(max_cycle=80)
            mf.kernel(mo_coeff, mf._scf.mo_occ if mf.mo_occ is None else mf.mo_occ)
        self.found.append((float(mf.e_tot), how + (f" + {count} instabilities" if count else ""), mf))

    def best(self):
        """The lowest state; an error without one."""
        return min(self.found, key=lambda state: state[0])


def flipped(mol, dm):
    """Densities of an open shell with the spins of one atom exchanged, for each atom."""
    for _, _, first, last in mol.aoslice_by_atom():
        other = np.array(dm)
        other[:, first:last, first:last] = dm[::-1, first:last, first:last]
        yield other


def turned(mf, rng, angle):
    """The orbitals of a state after a random rotation."""
    mo_coeff = np.asarray(mf.mo_coeff)
    size = mo_coeff.shape[-1]

    def rotation():
        generator = rng.normal(size=(size, size)) * angle / np.sqrt(size)
        return expm(generator - generator.T)

    return np.stack([c @ rotation() for c in mo_coeff]) if mo_coeff.ndim == 3 else mo_coeff @ rotation()


def mixed(mf):
    """The orbitals with each of the three highest occupied ones exchanged for, or half mixed with, each of the two lowest empty ones."""
    mo_coeff, mo_occ = np.asarray(mf.mo_coeff), np.asarray(mf.mo_occ)
    spins = [(slice(None), mo_occ)] if mo_occ.ndim == 1 else [(s, mo_occ[s]) for s in (0, 1)]
    for spin, occ in spins:
        for i in np.flatnonzero(occ > 0)[-3:]:
            for a in np.flatnonzero(occ == 0)[:2]:
                for angle in (np.pi / 2, np.pi / 4):
                    new = np.array(mo_coeff)
                    plane = new[..., [i, a]] if mo_occ.ndim == 1 else new[spin][:, [i, a]]
                    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
                    if mo_occ.ndim == 1:
                        new[:, [i, a]] = plane @ turn
                    else:
                        new[spin][:, [i, a]] = plane @ turn
                    yield f"{'' if mo_occ.ndim == 1 else 'ab'[spin]}{i}>{a} by {np.degrees(angle):.0f}", new


def starts(search):
    """Yield `(how, run)` for all starts, from ordinary ones to odd ones."""
    for guess in GUESSES:
        mf = search.fresh()
        mf.build()
        try:
            dm = mf.get_init_guess(key=guess)
        except (RuntimeError, ValueError, KeyError) as error:
            print(f"    no {guess}: {error}", flush=True)
            continue
        yield guess + " newton", lambda how, dm=dm: search.newton(how, dm)
        yield guess + " newton at once", lambda how, dm=dm: search.newton(how, dm, 1)
        yield guess + " cdiis", lambda how, dm=dm: search.cdiis(how, dm)
        if guess == "minao" and np.ndim(dm) == 3 and mf.mol.natm > 1 and not search.molecule.rohf:
            for atom, other in enumerate(flipped(mf.mol, np.asarray(dm))):
                yield f"minao, spins of atom {atom} exchanged, newton", lambda how, dm=other: search.newton(how, dm)
    if not search.found:
        return
    base = search.best()[2]
    for name, mo_coeff in mixed(base):
        yield f"best of these, mixed {name}, newton", lambda how, c=mo_coeff: search.from_orbitals(how, c, base.mo_occ)
    rng = np.random.default_rng(3)
    for index in range(RANDOM_STARTS):
        base = search.best()[2]
        angle = (0.5, 1.0)[index % 2]
        yield f"random rotation {index}, newton", lambda how, a=angle, b=base: search.from_orbitals(how, turned(b, rng, a), b.mo_occ)


def search_case(file, seconds):
    """Return the row of one case, or `None` if nothing converged."""
    molecule = read_xyz(file)
    search, tried, note = Search(molecule, seconds), 0, ""
    try:
        for how, run in starts(search):
            tried += 1
            before = len(search.found)
            run(how)
            energy = search.found[-1][0] if len(search.found) > before else float("nan")
            print(f"    {how:45s} {energy:.8f}", flush=True)
    except OutOfTimeError:
        note = ", out of time"
    if not search.found:
        return None
    energy = search.best()[0]
    hits = [how for e, how, _ in search.found if e < energy + SAME]
    return file.stem, f"{energy:.8f}", molecule.xc, molecule.basis, f"{hits[0]}; {len(hits)} of {tried} starts{note}"


def main():
    """Search all cases that are not in the file, the small ones first."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    known = {row["case"] for row in csv.DictReader(FILE.open())} if FILE.exists() else set()
    if not FILE.exists():
        FILE.write_text(",".join(COLUMNS) + "\n")
    warnings.simplefilter("ignore")
    sizes = {}
    for file in FOLDER.glob("*.xyz"):
        molecule = read_xyz(file)
        sizes[file] = mean_field(molecule, molecule.xc, molecule.basis).mol.nao * (1 if molecule.xc == "hf" else 2)
    for file in sorted(sizes, key=lambda f: (sizes[f], f.stem)):
        if file.stem in known:
            continue
        print(file.stem, sizes[file], flush=True)
        row = search_case(file, seconds)
        print("  ", row, flush=True)
        if row is not None:
            with FILE.open("a", newline="") as out:
                csv.writer(out, lineterminator="\n").writerow(row)


if __name__ == "__main__":
    main()
