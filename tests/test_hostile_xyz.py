"""Hostile XYZ files: each ends in one typed error that names the file, soon, and nothing in it is executed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from instances import sampled

from physopt.cli import main
from physopt.scf.xyz import MAX_ATOMS, MAX_BYTES, MAX_FRAMES, XYZError, read_frames, read_xyz

HEAD = "2\ncharge=0 spin=0\n"


def _atom(line: str) -> str:
    return f"{HEAD}H 0 0 0\n{line}\n"


def _comment(text: str) -> str:
    return f"2\n{text}\nH 0 0 0\nH 0 0 0.7\n"


# `CANARY` becomes Python that writes a file; PySCF would run several of these.
CORPUS: dict[str, str | bytes] = {
    "python_coordinate": _atom("H 0 0 CANARY"),
    "python_coordinates": _atom("H CANARY CANARY CANARY"),
    "python_symbol": _atom("CANARY 0 0 1"),
    "python_count": "CANARY\n\nH 0 0 0\n",
    "python_spin": _comment("spin=CANARY"),
    "python_charge": _comment("charge=CANARY spin=0"),
    "python_xc": _comment("xc=CANARY"),
    "python_basis": _comment("basis=CANARY"),
    "python_rohf": _comment("rohf=CANARY"),
    "xc_nothing": _comment("xc="),
    "xc_twice": _comment("xc=hf xc=pbe"),
    "xc_long": _comment("xc=" + "b" * 61),
    "basis_path": _comment("basis=/etc/passwd"),
    "basis_nothing": _comment("basis="),
    "rohf_word": _comment("rohf=yes"),
    "power": _atom("H 0 0 2**3"),
    "product": _atom("H 0 0 1*1"),
    "call": _atom("H 0 0 abs(1)"),
    "hexadecimal": _atom("H 0 0 0x1"),
    "underscore": _atom("H 0 0 1_0"),
    "nan": _atom("H 0 0 nan"),
    "minus_nan": _atom("H 0 0 -NaN"),
    "inf": _atom("H 0 0 inf"),
    "infinity": _atom("H 0 -Infinity 0"),
    "overflow": _atom("H 0 0 1e400"),
    "huge_exponent": _atom("H 0 0 1e999999999"),
    "far": _atom("H 0 0 10001"),
    "far_by_d": _atom("H 0 0 1.1D4"),
    "long_number": _atom("H 0 0 " + "1" * 100_000),
    "other_digits": _atom("H 0 0 \u0661"),
    "full_width": _atom("H 0 0 \uff11"),
    "comma_decimal": _atom("H 0 0 0,7"),
    "commas": _atom("H,0,0,0.7"),
    "two_columns": _atom("H 0"),
    "three_columns": _atom("H 0 0"),
    "empty_atom": _atom("") + "H 0 0 1\n",
    "unknown_symbol": _atom("Xx 0 0 1"),
    "dummy": _atom("X 0 0 1"),
    "ghost": _atom("ghost-H 0 0 1"),
    "labelled": _atom("H1 0 0 1"),
    "basis_in_symbol": _atom("H@sto-3g 0 0 1"),
    "long_symbol": _atom("H" * 1_000_000 + " 0 0 1"),
    "symbol_is_number": _atom("1 0 0 1"),
    "symbol_is_zero": _atom("0 0 0 1"),
    "symbol_is_sign": _atom("+ 0 0 1"),
    "greek_symbol": _atom("\u0397 0 0 1"),
    "same_place": _atom("H 0 0 0"),
    "near": _atom("H 0 0 0.0999"),
    "count_too_large": "3\n\nH 0 0 0\nH 0 0 0.7\n",
    "count_too_small": "1\nspin=1\nH 0 0 0\nH 0 0 0.7\n",
    "count_zero": "0\n\n",
    "count_negative": "-2\n\nH 0 0 0\nH 0 0 0.7\n",
    "count_enormous": "99999999999\n\nH 0 0 0\n",
    "count_long": "9" * 1_000_000 + "\n\nH 0 0 0\n",
    "count_float": "2.0\n\nH 0 0 0\nH 0 0 0.7\n",
    "count_other_digits": "\u0662\n\nH 0 0 0\nH 0 0 0.7\n",
    "count_and_more": "2 atoms\n\nH 0 0 0\nH 0 0 0.7\n",
    "count_missing": "H 0 0 0\nH 0 0 0.7\n",
    "empty": "",
    "blank": "\n\n\n\n",
    "count_only": "2",
    "no_atoms": HEAD,
    "spin_word": _comment("spin=triplet"),
    "spin_float": _comment("spin=1.0"),
    "spin_empty": _comment("charge=0 spin="),
    "spin_twice": _comment("spin=0 spin=2"),
    "spin_negative": _comment("spin=-2"),
    "spin_odd": _comment("spin=1"),
    "spin_beyond": _comment("spin=4"),
    "spin_enormous": _comment("spin=" + "9" * 5000),
    "charge_all": _comment("charge=2"),
    "charge_beyond": _comment("charge=999"),
    "multiplicity": _comment("multiplicity=3"),
    "periodic": _comment('Lattice="1 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3'),
    "other_columns": _comment("Properties=id:I:1:species:S:1:pos:R:3"),
    "null_byte": HEAD.encode() + b"H 0 0 0\x00\nH 0 0 0.7\n",
    "escape_sequence": _comment("\x1b]0;owned\x07\x1b[2J"),
    "utf16": _comment("").encode("utf-16"),
    "latin1": _comment("\u00e9").encode("latin-1"),
    "binary": bytes(range(256)) * 100,
    "elf": b"\x7fELF" + bytes(1000),
    "zip": b"PK\x03\x04" + bytes(100),
    "too_large": b"2\n\nH 0 0 0\nH 0 0 0.7\n" + b" " * MAX_BYTES,
    "many_lines": "\n" * (MAX_BYTES - 10) + "x",
    "too_many_atoms": f"{MAX_ATOMS + 1}\n\n" + "\n".join(f"H 0 0 {i % 9999}" for i in range(MAX_ATOMS + 1)),
    "crowd": f"{MAX_ATOMS}\n\n" + "H 0 0 0\n" * MAX_ATOMS,
    "near_crowd": f"{MAX_ATOMS}\n\n" + "\n".join(f"H 0 0 {i * 1e-5:.6f}" for i in range(MAX_ATOMS)),
    "too_many_frames": "1\nspin=1\nH 0 0 0\n" * (MAX_FRAMES + 1),
    "json": '{"symbols": ["H"]}',
    "pickle": b"cposix\nsystem\n(S'touch CANARY'\ntR.",
    "zmatrix": "2\n\nH\nH 1 0.74\n",
}


@pytest.fixture
def canary(tmp_path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def hostile(tmp_path, canary, request) -> Path:
    content = CORPUS[request.param]
    path = tmp_path / f"{request.param}.xyz"
    spell = f"open({str(canary)!r},'w').close()"
    path.write_bytes(content if isinstance(content, bytes) else content.replace("CANARY", spell).encode())
    return path


@pytest.mark.parametrize("hostile", sampled(CORPUS, 2), indirect=True)
def test_reader_refuses(hostile, canary):
    with pytest.raises(XYZError) as caught:
        read_xyz(hostile)
    assert str(caught.value).startswith(str(hostile))
    assert len(str(caught.value)) < len(str(hostile)) + 250
    with pytest.raises(XYZError) if hostile.stem != "count_too_small" else pytest.raises(ValueError):
        read_frames(hostile)
    assert not canary.exists()


@pytest.mark.parametrize("hostile", sampled(CORPUS, 4), indirect=True)
def test_command_line_says_one_line(hostile, canary, capsys):
    assert main(["scf", str(hostile)]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert hostile.name in err
    assert "Traceback" not in out + err
    assert err.rstrip("\n").isprintable()
    assert not canary.exists()


ALONE = ["python_coordinate", "crowd", "count_enormous", "many_lines", "too_many_frames"]


@pytest.mark.parametrize("hostile", sampled(ALONE, 3), indirect=True)
def test_reader_answers_soon_in_a_process_of_its_own(hostile, canary):
    # The limit is generous because it includes the interpreter's start; the slowest of these takes a fraction of a second.
    script = "import sys; from physopt.scf.xyz import read_xyz; read_xyz(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, hostile], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 1
    assert "XYZError" in done.stderr
    assert not canary.exists()


@pytest.mark.parametrize("hostile", [pytest.param("python_coordinate", marks=pytest.mark.slow), "escape_sequence"], indirect=True)
def test_command_line_in_a_process_of_its_own(hostile, canary):
    script = "import sys; from physopt.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", script, "scf", hostile], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert not canary.exists()


@pytest.mark.parametrize("option", ["--basis", "--xc"])
def test_hostile_options_are_bad_input(option, canary, capsys):
    water = Path(__file__).parents[1] / "data" / "molecules" / "water.xyz"
    assert main(["scf", str(water), option, f"open({str(canary)!r},'w').close()"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not canary.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.xyz")
    with pytest.raises(XYZError, match="not a regular file"):
        read_xyz(tmp_path / "pipe.xyz")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/tmp"])
def test_devices_and_folders_are_refused(path):
    with pytest.raises(XYZError, match="not a regular file"):
        read_xyz(path)
