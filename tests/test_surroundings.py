"""Commands in surroundings that are unlike a developer's: little memory, no home, other languages, odd terminals."""

import os
import subprocess

import pytest
import strangers
from strangers import SCRIPT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("surroundings")
    strangers.lay_inputs(place)
    return place


def _run(folder, arguments, memory=None, **variables):
    environment = {name: text for name, text in os.environ.items() if variables.get(name, "") is not None}
    environment |= {name: text for name, text in variables.items() if text is not None}
    # Not by preexec_fn: that forks, which a process with JAX in it must not do.
    limited = [] if memory is None else ["sh", "-c", f'ulimit -v {memory * 10**6 // 1024}; exec "$0" "$@"']
    return subprocess.run([*limited, SCRIPT, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _one_sentence(done, code, *words):
    assert done.returncode == code, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1 and "defect" not in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


COMPUTING = {
    "scf": ["scf", "h2.xyz"],
    "topopt": ["topopt", "beam.toml", "--max-iterations", "2"],
    "validate": ["topopt", "validate", "beam.toml"],
    "pinn": ["pinn", "network", "--steps", "2"],
    "train": ["train", "quadratics", "--steps", "1"],
    "bench": ["bench", "topopt", "beam.toml", "--solutions", "2"],
    "doctor": ["doctor"],
}


def test_too_little_memory_is_a_sentence(folder):
    _one_sentence(_run(folder, COMPUTING["topopt"], memory=1000), 4, "not enough memory", "1000 MB", "JAX needs")


@pytest.mark.slow
@pytest.mark.parametrize("memory", [350, 600, 1000, 1500, 1900])
@pytest.mark.parametrize("arguments", COMPUTING.values(), ids=COMPUTING)
def test_too_little_memory_is_a_sentence_for_every_command(folder, arguments, memory):
    _one_sentence(_run(folder, arguments, memory=memory), 4, "not enough memory", f"{memory} MB")


@pytest.mark.parametrize("command", ["show", "verify"])
def test_runs_are_read_with_little_memory(folder, command):
    done = _run(folder, ["runs", command, "run"], memory=600)
    assert done.returncode == 0, done.stderr


def test_pyscf_without_docstrings_is_a_sentence(folder):
    _one_sentence(_run(folder, ["scf", "h2.xyz"], PYTHONOPTIMIZE="2"), 2, "PYTHONOPTIMIZE=2")


SURROUNDINGS = {
    "no home": {"HOME": None},
    "a home that is not there": {"HOME": "/nonexistent"},
    "no folder for temporary files": {"TMPDIR": "/nonexistent"},
    "C": {"LC_ALL": "C"},
    "POSIX without UTF-8": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8"},
    "German": {"LC_ALL": "de_DE.UTF-8"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "one column": {"COLUMNS": "1"},
    "very wide": {"COLUMNS": "100000"},
    "columns that are no number": {"COLUMNS": "x"},
    "no colour": {"NO_COLOR": "1", "FORCE_COLOR": "1"},
    "no network": {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    "optimized": {"PYTHONOPTIMIZE": "1"},
}
SOUND = {
    "scf": ["scf", "h2.xyz", "--plot", "h2.png"],
    "validate": ["topopt", "validate", "beam.toml"],
    "show": ["runs", "show", "run"],
    "plot": ["runs", "plot", "run"],
    "doctor": ["doctor"],
    "help": ["--help"],
}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("variables", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_commands_work_in_other_surroundings(folder, arguments, variables):
    done = _run(folder, arguments, **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout
