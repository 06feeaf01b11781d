"""The shipped sets: what is trained on and what is held out share no molecule, and no element or ligand that the split keeps apart."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pyscf.data import radii as radii_of
from pyscf.data.nist import BOHR

from physopt.cli.bench_tables import read_lowest
from physopt.scf.xyz import ELEMENTS, read_frames, read_xyz
from physopt.topopt.definition import read_definition

DATA = Path(__file__).parents[1] / "data"
TRAINING = sorted((DATA / "training").glob("*.xyz"))
HELD_OUT = {folder.name: sorted(folder.glob("*.xyz")) for folder in sorted((DATA / "held-out").iterdir())}
METALS = {"Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn"}


def _distances(molecule):
    """Interatomic distances in angstrom, sorted: the same for the same geometry, however it is turned."""
    gaps = np.linalg.norm(molecule.coords[:, None] - molecule.coords, axis=-1)
    return np.sort(gaps[np.triu_indices(len(gaps), 1)])


def _bonds(molecule):
    """Each atom's symbol and its neighbours': the same for the same molecule in any geometry near its own."""
    radii = np.array([radii_of.COVALENT[ELEMENTS.index(s) + 1] for s in molecule.symbols]) * BOHR
    gaps = np.linalg.norm(molecule.coords[:, None] - molecule.coords, axis=-1)
    bonded = (gaps < 1.3 * (radii[:, None] + radii)) & (gaps > 0)
    return molecule.charge, tuple(
        sorted((s, *sorted(np.array(molecule.symbols)[row])) for s, row in zip(molecule.symbols, bonded, strict=True))
    )


def test_training_holds_the_elements_it_should():
    elements = {s for path in TRAINING for s in read_xyz(path).symbols}
    first = "H Li Be B C N O F Na Mg Al P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se".split()
    assert elements == set(first)


def test_no_molecule_is_trained_on_and_held_out():
    trained = {_bonds(read_xyz(path)) for path in TRAINING}
    for folder, paths in HELD_OUT.items():
        shared = [path.stem for path in paths if _bonds(read_frames(path)[0]) in trained]
        assert not shared, f"{folder}: {shared}"


def test_no_complex_is_trained_on():
    for path in TRAINING:
        molecule = read_xyz(path)
        metals = [i for i, s in enumerate(molecule.symbols) if s in METALS]
        if metals:
            near = np.linalg.norm(molecule.coords - molecule.coords[metals[0]], axis=1) < 2.4
            assert np.count_nonzero(near) - 1 <= 3, path.stem


def test_names_and_sources_are_written_down():
    for path in [*(path for paths in HELD_OUT.values() for path in paths), *TRAINING]:
        comment = read_frames(path)[0].comment
        assert f"name={path.stem} " in comment and "source=" in comment, path


@pytest.mark.parametrize(("folder", "least"), [("ordinary", 48), ("complexes", 16), ("hard", 42), ("large", 12), ("series", 3)])
def test_held_out_sets_are_large_enough(folder, least):
    assert len(HELD_OUT[folder]) >= least
    assert len(HELD_OUT[folder]) == len({path.stem for path in HELD_OUT[folder]})


def test_unseen_elements_are_held_out():
    unseen = [path for path in HELD_OUT["ordinary"] if {"Si", "Br"} & set(read_xyz(path).symbols)]
    assert len(unseen) >= 6


def test_hard_cases_name_their_level():
    for path in HELD_OUT["hard"]:
        molecule = read_xyz(path)
        assert molecule.xc, path.stem
        assert molecule.basis, path.stem


def test_lowest_energies_are_of_these_cases_at_their_level():
    cases = {path.stem: read_xyz(path) for path in HELD_OUT["hard"]}
    for case, row in read_lowest(DATA / "held-out" / "hard" / "lowest.csv").items():
        assert (row["xc"], row["basis"]) == (cases[case].xc, cases[case].basis), case


def test_series_are_of_one_molecule_that_moves():
    for path in HELD_OUT["series"]:
        frames = read_frames(path)
        assert len(frames) >= 10
        assert all(frame.symbols == frames[0].symbols for frame in frames)
        assert all(np.abs(_distances(a) - _distances(b)).max() > 1e-4 for a, b in pairwise(frames))


def test_held_out_structures_can_be_solved_and_are_of_many_kinds():
    files = sorted((DATA / "held-out" / "topology").glob("*.toml"))
    definitions = [read_definition(file) for file in files]
    assert len(files) >= 30 and sum(len(d.shape) == 3 for d in definitions) >= 3
    for file, definition in zip(files, definitions, strict=True):
        assert file.stem == definition.name and definition.source
        assert len(definition.shape) == 3 or 64 <= max(definition.shape) <= 256
        definition.structure()
    assert len({d.name.rsplit("-", 1)[0] for d in definitions}) >= 15


@pytest.mark.parametrize("folder", ["topology-thin", "topology-drawn"])
def test_structures_of_thin_members(folder):
    definitions = [read_definition(file) for file in sorted((DATA / "held-out" / folder).glob("*.toml"))]
    assert len(definitions) >= 40 and 2 * sum(len(d.shape) == 3 for d in definitions) == len(definitions)
    assert all(1.2 <= d.rmin <= 2.0 for d in definitions) and len({d.name for d in definitions}) == len(definitions)
    assert sum(d.physics == "heat" for d in definitions) >= 8 and sum(len({load.case for load in d.load}) > 1 for d in definitions) >= 4
    for definition in definitions:
        definition.structure()
