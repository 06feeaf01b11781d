"""The command line: exit codes, one line instead of a traceback, signals, progress."""

import io
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from physopt.cli import COMMANDS, doctor, exits, main
from physopt.cli.progress import Progress
from physopt.core.trajectory import RecordingStoppedWarning
from physopt.scf.xyz import XYZError

ROOT = Path(__file__).parents[1]


def _raise(error: BaseException):
    raise error


@pytest.mark.parametrize(
    ("outcome", "code", "line"),
    [
        (lambda: None, 0, ""),
        (lambda: "a result", 0, ""),
        (lambda: 3, 3, ""),
        (lambda: _raise(SystemExit(3)), 3, ""),
        (lambda: _raise(SystemExit()), 0, ""),
        (lambda: _raise(ValueError("charge=x is no number.\nWrite charge=0.")), 2, "charge=x is no number. Write charge=0."),
        (lambda: _raise(XYZError("a.xyz, line 3: bad")), 2, "a.xyz, line 3: bad"),
        (lambda: _raise(exits.NotConverged("50 builds were not enough")), 3, "50 builds were not enough"),
        (lambda: _raise(FileNotFoundError(2, "No such file or directory", "a.xyz")), 4, "a.xyz: No such file or directory"),
        (lambda: _raise(OSError("disk full")), 4, "disk full"),
        (lambda: _raise(ModuleNotFoundError("No module named 'pyscf'", name="pyscf")), 4, "Is pyscf installed?"),
        (lambda: _raise(ImportError("cannot import name 'a'", name="physopt.core")), 1, "cannot import name 'a' (a defect of physopt"),
        (lambda: _raise(KeyboardInterrupt()), 130, "interrupted"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "terminated"),
        (lambda: _raise(RuntimeError("odd")), 1, "RuntimeError: odd (a defect of physopt"),
        (lambda: _raise(ValueError("\x1b[2J" + "x" * 10_000)), 2, "?[2J"),
    ],
)
def test_outcomes_become_exit_codes_and_one_line(outcome, code, line, capsys, monkeypatch):
    monkeypatch.delenv("PHYSOPT_TRACEBACK", raising=False)
    assert exits.run(outcome) == code
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == bool(line)
    assert len(err) < 700


def test_the_handler_of_sigterm_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    exits.run(lambda: _raise(ValueError("x")))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("kind", "code"), [(UserWarning, 0), (RecordingStoppedWarning, 4)])
def test_warnings_are_one_line_and_a_lost_record_is_no_success(kind, code, capsys):
    def command():
        warnings.simplefilter("always")
        warnings.warn("disk full,\nnothing more\x1b is recorded", kind, stacklevel=1)

    assert exits.run(command) == code
    assert capsys.readouterr().err == "physopt: warning: disk full, nothing more? is recorded\n"


def test_traceback_on_request(capsys, monkeypatch):
    monkeypatch.setenv("PHYSOPT_TRACEBACK", "1")
    assert exits.run(lambda: _raise(ValueError("x"))) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["bogus"], ["doctor", "--bogus"], ["doctor", "surplus"], ["--bogus"], ["\x1b[2J"]])
def test_wrong_words_are_bad_input(arguments, capsys):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--help" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"physopt {command}" in capsys.readouterr().out


def test_help_imports_no_command():
    script = (
        "import sys; from physopt.cli import main; code = main(['--help'])\n"
        "heavy = {'pyscf', 'matplotlib', 'physopt.cli.scf'} & sys.modules.keys()\nassert not heavy, heavy\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=1200, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


def test_a_reader_that_leaves_is_no_error():
    script = "import sys; from physopt.cli import exits\nsys.exit(exits.run(lambda: print('line\\n' * 100_000)))"
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.readline()
    writer.stdout.close()
    with writer.stderr as errors:
        assert errors.read() == b""
    assert writer.wait(timeout=1200) == 141


def test_doctor_finds_this_installation_sound(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "refused, nothing executed" in out
    assert "float64" in out
    assert "HDF5" in out
    assert "JAX computes on cpu" in out


def test_doctor_names_a_card_that_is_not_used(monkeypatch, tmp_path):
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 17\n")
    monkeypatch.setattr(doctor, "CARDS", tmp_path)

    def note():
        return next(found.detail for found in doctor._device() if found.subject == "accelerator" and found.ok is None)

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert note() == "NVIDIA H200 is not used, because JAX_PLATFORMS=cpu: unset it"
    monkeypatch.delenv("JAX_PLATFORMS")
    assert note() == "NVIDIA H200 is not used, because this jaxlib is for CPUs: pip install 'jax[cuda12]'"


def test_progress_in_a_log_is_plain_lines_and_keeps_the_last():
    log = io.StringIO()
    with Progress("water", total=3, interval=1e9, console=Console(file=log, force_terminal=False)) as progress:
        for done in range(1, 4):
            progress.update(done, energy=-76.0 - done, gradient=1e-3, note="[red]x")
    assert log.getvalue().splitlines() == [
        "water: 1/3  energy -77.00000000  gradient 1.000e-03  note [red]x",
        "water: 3/3  energy -79.00000000  gradient 1.000e-03  note [red]x",
    ]


def test_progress_on_a_terminal_is_live():
    screen = io.StringIO()
    with Progress("water [3]", console=Console(file=screen, force_terminal=True, width=100)) as progress:
        progress.update(2, energy=-76.0, note="[red]x")
    assert "water [3]" in screen.getvalue()
    assert "energy -76.00000000  note [red]x" in screen.getvalue()
    assert "\x1b[" in screen.getvalue()
