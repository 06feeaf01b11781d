"""The XYZ reader: what it takes means what it says, and the shipped molecules are what their names say."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from physopt.scf.xyz import ELEMENTS, Molecule, XYZError, check_basis_name, read_frames, read_xyz

MOLECULES = sorted((Path(__file__).parents[1] / "data" / "molecules").glob("*.xyz"))
WATER = "3\ncharge=0 spin=0 name=water\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "molecule.xyz"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_reads_what_is_written(write):
    water = read_xyz(write(WATER))
    assert water.symbols == ("O", "H", "H")
    assert water.num_electrons == 10
    np.testing.assert_array_equal(water.coords[1], [0, 0.7572, -0.4692])
    assert water.atoms[2] == ("H", (0.0, -0.7572, -0.4692))
    assert water.comment == "charge=0 spin=0 name=water"


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(ELEMENTS), *[st.floats(-100, 100).map(lambda x: round(x, 5)) for _ in range(2)]), min_size=1, max_size=12
    )
)
def test_writing_and_reading_returns_the_same_numbers(tmp_path_factory, rows):
    # One atom per angstrom along x, so that none collide.
    atoms = [(symbol, (float(i), y, z)) for i, (symbol, y, z) in enumerate(rows)]
    parity = sum(ELEMENTS.index(symbol) + 1 for symbol, _ in atoms) % 2
    lines = [f"{s} {x!r} {y!r} {z!r}" for s, (x, y, z) in atoms]
    path = tmp_path_factory.mktemp("round") / "a.xyz"
    path.write_text("\n".join([str(len(lines)), f"spin={parity}", *lines]))
    assert read_xyz(path).atoms == atoms


@pytest.mark.parametrize(
    "variant",
    [
        WATER.replace("\n", "\r\n"),
        WATER.replace("\n", "\r"),
        b"\xef\xbb\xbf" + WATER.encode(),
        WATER.rstrip("\n"),
        WATER + "\n\n  \n",
        WATER.replace("0.7572", "7.572D-1").replace("0.1173", "1.173e-01"),
        WATER.replace("0 0.7572", "+.0 .7572"),
        WATER.replace(" ", "\t"),
        WATER.replace("O 0 0 0.1173", "o 0 0 0.1173 -0.8 extra columns"),
        WATER.replace("name=water", 'Properties=species:S:1:pos:R:3 pbc="F F F"'),
        WATER.replace("charge=0 spin=0 name=water", "Charge = 0, a comment about the spin of water \u2028 and \u00e9\u4e16"),
        WATER.replace("charge=0 spin=0 name=water", ""),
    ],
)
def test_common_spellings_mean_the_same(write, variant):
    assert read_xyz(write(variant)).atoms == Molecule(("O", "H", "H"), read_xyz(write(WATER)).coords).atoms


def test_charge_and_spin_come_from_the_file_unless_given(write):
    path = write(WATER.replace("charge=0 spin=0", "charge=1 spin=1"))
    assert (read_xyz(path).charge, read_xyz(path).spin) == (1, 1)
    given_both = read_xyz(path, charge=-2, spin=2)
    assert (given_both.charge, given_both.spin, given_both.num_electrons) == (-2, 2, 12)


def test_impossible_spin_names_a_possible_one(write):
    with pytest.raises(XYZError, match=r"line 2: 9 electrons \(charge=1\) cannot have spin=0.*spin=1, 3"):
        read_xyz(write(WATER), charge=1)


def test_frames(write):
    path = write(WATER + WATER.replace("0.7572", "0.8"))
    first, second = read_frames(path)
    assert first.coords[1, 1] == 0.7572
    assert second.coords[1, 1] == 0.8
    with pytest.raises(XYZError, match="more than one frame"):
        read_xyz(path)


def test_error_in_a_later_frame_names_its_line(write):
    with pytest.raises(XYZError, match=r"line 8:.*'Q'"):
        read_frames(write(WATER + WATER.replace("O 0", "Q 0")))


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_xyz(tmp_path / "none.xyz")


@pytest.mark.parametrize("name", ["def2-svp", "6-31g(d,p)", "6-311++g**", "cc-pVTZ", "sto-3g"])
def test_basis_names_pass(name):
    assert check_basis_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 41, "../x", "/etc/passwd", "x y", "H S\n1.0 1.0", "__import__('os')", "sto-3g\n", "\u0661"])
def test_other_text_is_no_basis_name(name):
    with pytest.raises(ValueError, match="basis"):
        check_basis_name(name)


def test_a_file_is_no_basis_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sto-3g").write_text("H S\n")
    with pytest.raises(ValueError, match="name of a file"):
        check_basis_name("sto-3g")


@pytest.mark.parametrize("path", MOLECULES, ids=lambda p: p.stem)
def test_shipped_molecules_are_sensible(path):
    molecule = read_xyz(path)
    assert f"name={path.stem} " in molecule.comment
    assert "source=" in molecule.comment
    gaps = np.linalg.norm(molecule.coords[:, None] - molecule.coords, axis=-1) + 9 * np.eye(len(molecule.symbols))
    assert gaps.min() > 0.9
    # Every atom is bonded to something: no stray fragments.
    assert gaps.min(axis=0).max() < 2.3


def test_enough_molecules_are_shipped():
    spins = [read_xyz(path).spin for path in MOLECULES]
    assert spins.count(0) >= 24
    assert sum(spin > 0 for spin in spins) >= 10


def test_copies_in_the_package_are_the_same_files():
    folder = MOLECULES[0].parent
    for copy in (folder.parents[1] / "physopt").rglob("*.xyz"):
        assert copy.read_bytes() == (folder / copy.name).read_bytes(), f"{copy} is out of date: copy it from {folder}"
