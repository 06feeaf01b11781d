"""Rules of the house that a machine can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(p for folder in ("physopt", "tests", "examples", "data", "benchmarks") for p in (ROOT / folder).rglob("*.py"))
PACKAGE = [p for p in FILES if p.is_relative_to(ROOT / "physopt")]


def _label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _abstract_methods() -> set[str]:
    """Names of documented methods of abstract classes: whoever implements one inherits its contract."""
    nodes = [node for path in PACKAGE for node in ast.walk(ast.parse(path.read_text()))]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name.startswith("Abstract")]
    return {m.name for c in classes for m in c.body if isinstance(m, ast.FunctionDef) and ast.get_docstring(m)}


INHERITED = _abstract_methods()


def _public(tree: ast.Module):
    """Yield the public definitions of a module, methods of public classes included."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and method.name not in INHERITED:
                    yield f"{node.name}.{method.name}", method


@pytest.mark.parametrize("path", FILES, ids=_label)
def test_no_long_files(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", PACKAGE, ids=_label)
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    bare = [name for name, node in _public(tree) if not ast.get_docstring(node)]
    assert not bare, f"{_label(path)}: no docstring on {bare}"
    assert ast.get_docstring(tree), f"{_label(path)}: say in one line what the module is for"


@pytest.mark.parametrize("path", PACKAGE, ids=_label)
def test_summaries_are_one_sentence_on_one_line(path):
    for name, node in _public(ast.parse(path.read_text())):
        summary = (ast.get_docstring(node) or "").split("\n\n")[0]
        assert "\n" not in summary or summary.rstrip().endswith((".", ":")), f"{_label(path)}: {name}: {summary!r}"


@pytest.mark.parametrize("path", PACKAGE, ids=_label)
def test_no_room_for_odds_and_ends(path):
    assert not re.search(r"utils?|common|helpers?|manager|misc", path.stem)


@pytest.mark.parametrize("path", PACKAGE, ids=_label)
def test_nothing_is_left_undone(path):
    marks = re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", path.read_text())
    assert not marks, f"{_label(path)}: {marks}"


WALL_CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "timeit", "default_timer"}


def _clocks(path: Path) -> list[str]:
    """Return where a test reads the clock on the wall, or gives up on another process in less than ten minutes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("time", "timeit"):
            found += [f"{node.value.id}.{node.attr}"] if node.attr in WALL_CLOCKS else []
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "timeit"):
            found += [f"from {node.module} import {alias.name}" for alias in node.names if alias.name in WALL_CLOCKS]
        if (
            isinstance(node, ast.keyword)
            and node.arg == "timeout"
            and isinstance(node.value, ast.Constant)
            and node.value.value is not None
        ):
            found += [f"timeout={node.value.value}"] if node.value.value < 600 else []
    return found


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "tests")], ids=_label)
def test_no_test_reads_the_clock_on_the_wall(path):
    # On a busy machine everything takes many times as long: count events or processor time.
    assert not _clocks(path), f"{_label(path)}: {_clocks(path)}"


def test_the_walk_sees_a_clock(tmp_path):
    script = tmp_path / "a.py"
    script.write_text("import time\nfrom time import monotonic\nassert time.time() < run(timeout=60)\nwait(timeout=1200)\n")
    assert sorted(_clocks(script)) == ["from time import monotonic", "time.time", "timeout=60"]
