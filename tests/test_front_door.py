"""What `import physopt` offers: every name of every stub, loaded when asked for, and each rule by its own."""

import ast
import subprocess
import sys
from pathlib import Path

import physopt
from physopt import AbstractRule

PACKAGE = Path(physopt.__file__).parent
STUBS = sorted(PACKAGE.rglob("__init__.pyi"))


def offered(stub: Path) -> list[str]:
    """Return the names that a stub lists, as attributes of `physopt`."""
    tree = ast.parse(stub.read_text())
    names = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    room = ".".join(stub.parent.relative_to(PACKAGE).parts)
    return [f"{room}.{name}" if room else name for name in names]


NAMES = [name for stub in STUBS for name in offered(stub)]


def test_one_import_reaches_every_name_and_loads_nothing_before():
    script = f"""
import sys
import physopt
heavy = {{"jax", "equinox", "numpy", "scipy", "pyscf", "h5py", "matplotlib"}} & sys.modules.keys()
assert not heavy, heavy
for name in {NAMES!r}:
    found = physopt
    for part in name.split("."):
        assert part in dir(found), name
        found = getattr(found, part)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr


def test_every_rule_and_every_room_is_offered():
    rules = {
        node.name
        for file in (PACKAGE / "rules").glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == AbstractRule.__name__ for base in node.bases)
    }
    assert rules and {f"rules.{name}" for name in rules} <= set(NAMES)
    for name in ("minimize", "unroll", "Stop", "Recording", "accelerate", "scf.ResponseDIIS", "topopt.solve", "topopt.mbb", "meta.train"):
        assert name in NAMES
    assert callable(physopt.runs.load)
