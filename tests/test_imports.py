"""The direction of dependencies, core <- rules <- meta <- {study, scf, pinn, topopt} <- bench, farm, plot <- cli, and quiet imports.

Inside a domain only its `method` folder imports rules, and only `method` and `training` import meta.
"""

import ast
import functools
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "physopt"

DOMAINS = ("scf", "pinn", "topopt")
LAYERS = {
    "core": {"core"},
    "apart": {"apart"},
    "rules": {"core", "rules"},
    "meta": {"core", "rules", "meta"},
    "study": {"core", "rules", "meta", "study"},
    "farm": {"core", *DOMAINS, "farm"},
    "bench": {"core", "rules", "meta", "study", *DOMAINS, "bench"},
    "plot": {"core", "study", *DOMAINS, "plot"},
    "cli": {"apart", "runs", "core", "rules", "meta", "study", *DOMAINS, "farm", "bench", "plot", "cli", ""},
    "__main__": {"cli"},
    "runs": {"core"},
    "": {"apart", "core", "rules", "meta", "runs", "study", "farm", "bench", "plot", *DOMAINS},
}
for domain in DOMAINS:
    LAYERS[domain] = {"core", domain}
    LAYERS[f"{domain}.training"] = {"core", "rules", "meta", domain, f"{domain}.method", f"{domain}.training"}
    LAYERS[f"{domain}.method"] = {"core", "rules", "meta", domain, f"{domain}.method"}
# Which modules may import a heavy or delicate package; a prefix of the module's name.
RESERVED = {
    "h5py": ("physopt.core.trajectory",),
    "pyscf": ("physopt.scf", "physopt.bench.scf"),
    "matplotlib": ("physopt.plot",),
    "PIL": ("physopt.topopt.space",),
    "trimesh": ("physopt.topopt.export", "physopt.topopt.voxels"),
    "skimage": ("physopt.topopt.surface",),
    "pyevtk": ("physopt.topopt.export",),
    "rich": ("physopt.cli",),
    "cyclopts": ("physopt.cli",),
}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> set[str]:
    """Absolute names of all that a file imports anywhere, in functions too."""
    package = _name(path).split(".") if path.name == "__init__.py" else _name(path).split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(package[: len(package) - node.level + 1] if node.level else [])
            module = ".".join(part for part in (origin, node.module) if part)
            # `from . import exits` imports a module, `from .exits import run` does not: keep what exists.
            inner = {f"{module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {module}
    return found


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def _graph() -> dict[str, set[str]]:
    """Return what each module imports."""
    return {name: _imports(path) for name, path in MODULES.items()}


def _layer(name: str) -> str:
    """Return a module's room: the folder below `physopt`, and the folder below a domain's where that is `method` or `training`."""
    top, inner = [*name.split("."), "", ""][1:3]
    return f"{top}.{inner}" if top in DOMAINS and inner in ("method", "training") else top


def _seen(layer: str) -> set[str]:
    """Return the rooms whose modules a room may import; whoever sees a domain from outside sees all of it."""
    seen = LAYERS[layer]
    inside = {f"{room}.{part}" for room in seen & set(DOMAINS) for part in ("method", "training")}
    return seen if layer.split(".")[0] in DOMAINS else seen | inside


def test_arrows_point_to_the_core():
    for name, targets in _graph().items():
        inner = {target for target in targets if target.split(".")[0] == "physopt"}
        wrong = {target for target in inner if _layer(target) not in _seen(_layer(name))}
        assert not wrong, f"{name} may not import {wrong}; its room sees only {_seen(_layer(name))}"


def test_reserved_packages():
    for package, owners in RESERVED.items():
        users = {name for name, targets in _graph().items() if any(target.split(".")[0] == package for target in targets)}
        wrong = {name for name in users if not name.startswith(owners)}
        assert not wrong, f"{wrong} import {package}, which is reserved to {owners}"


def test_no_cycles():
    inner = {name: {t for t in targets if t in MODULES} - {name} for name, targets in _graph().items()}
    list(graphlib.TopologicalSorter(inner).static_order())


def test_the_walk_sees_a_wrong_arrow(tmp_path, monkeypatch):
    # Guards the guards: a relative import of a higher layer inside a function must be found.
    path = PACKAGE / "core" / "wrong.py"
    monkeypatch.setattr(Path, "read_text", lambda self: "def f():\n    from ..cli import main\n    import pyscf.gto\n")
    assert _imports(path) == {"physopt.cli", "pyscf.gto"}


def _python(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=1200, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_has_no_effect():
    script = """
import os, sys, threading
before = dict(os.environ), threading.active_count()
import physopt
import jax
from jax._src import xla_bridge
assert (dict(os.environ), threading.active_count()) == before, "environment or threads"
assert not jax.config.jax_enable_x64, "x64 was switched on"
assert not xla_bridge.backends_are_initialized(), "a JAX backend was started"
heavy = {"pyscf", "matplotlib", "PIL", "trimesh", "skimage", "pyevtk", "cyclopts", "rich", "rdkit", "pytest"} & sys.modules.keys()
assert not heavy, heavy
"""
    _python(script)


IMPORTER = """
import importlib, json, sys
from jax._src import xla_bridge

without, rest = json.loads(sys.argv[1])
failed, begun = {}, []
sys.modules["pyscf"] = None
for name in without:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
    begun += [name] * xla_bridge.backends_are_initialized()
del sys.modules["pyscf"]
for name in without + rest:
    importlib.import_module(name)
    begun += [name] * xla_bridge.backends_are_initialized()
import jax

jax.config.update("jax_num_cpu_devices", 2)
print(json.dumps({"failed": failed, "begun": begun, "devices": len(jax.devices())}))
"""


@pytest.fixture(scope="module")
def imported():
    """Import each module in one process, first those that do without PySCF; tell which fail without it, and after which a backend runs."""
    names = [n for n in MODULES if n != "physopt.__main__"]
    rest = [n for n in names if n.startswith((*RESERVED["pyscf"], "physopt.cli."))]
    return json.loads(_python(IMPORTER, json.dumps([[n for n in names if n not in rest], rest])))


def test_no_module_starts_a_backend(imported):
    # Then the choice of devices would come too late, and a fork would be unsafe.
    assert not imported["begun"]
    assert imported["devices"] == 2


def test_everything_but_its_own_layer_imports_without_pyscf(imported):
    assert not imported["failed"]
