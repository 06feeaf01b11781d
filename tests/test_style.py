"""Rules of the house that a machine can check."""

import ast
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILES = sorted(p for folder in ("physopt", "tests", "examples", "data", "benchmarks") for p in (ROOT / folder).rglob("*.py"))
PACKAGE = [p for p in FILES if p.is_relative_to(ROOT / "physopt")]


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def _abstract_methods() -> set[str]:
    """Names of documented methods of abstract classes: whoever implements one inherits its contract."""
    nodes = [node for path in PACKAGE for node in ast.walk(_tree(path))]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name.startswith("Abstract")]
    return {m.name for c in classes for m in c.body if isinstance(m, ast.FunctionDef) and ast.get_docstring(m)}


def _public(tree: ast.Module):
    """Yield the public definitions of a module, methods of public classes included."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and method.name not in _abstract_methods():
                    yield f"{node.name}.{method.name}", method


def _wrong(paths: list[Path], find: Callable[[Path], Any]) -> dict[str, Any]:
    """Return what was found, by file: one test reads all files and names all that are wrong."""
    return {str(path.relative_to(ROOT)): found for path in paths if (found := find(path))}


def test_no_long_files():
    assert not _wrong(FILES, lambda path: max(len(path.read_text().splitlines()) - 300, 0)), "lines beyond 300"


def test_public_names_are_documented():
    assert not _wrong(PACKAGE, lambda path: [name for name, node in _public(_tree(path)) if not ast.get_docstring(node)])
    assert not _wrong(PACKAGE, lambda path: not ast.get_docstring(_tree(path))), "say in one line what the module is for"


def test_summaries_are_one_sentence_on_one_line():
    def straggling(path: Path) -> dict[str, str]:
        summaries = {name: (ast.get_docstring(node) or "").split("\n\n")[0] for name, node in _public(_tree(path))}
        return {name: text for name, text in summaries.items() if "\n" in text and not text.rstrip().endswith((".", ":"))}

    assert not _wrong(PACKAGE, straggling)


def test_no_room_for_odds_and_ends():
    assert not _wrong(PACKAGE, lambda path: re.search(r"utils?|common|helpers?|manager|misc", path.stem))


def test_nothing_is_left_undone():
    assert not _wrong(PACKAGE, lambda path: re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", path.read_text()))


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


def test_no_test_reads_the_clock_on_the_wall():
    # On a busy machine everything takes many times as long: count events or processor time.
    assert not _wrong([path for path in FILES if path.is_relative_to(ROOT / "tests")], _clocks)


def test_the_walk_sees_a_clock(tmp_path):
    script = tmp_path / "a.py"
    script.write_text("import time\nfrom time import monotonic\nassert time.time() < run(timeout=60)\nwait(timeout=1200)\n")
    assert sorted(_clocks(script)) == ["from time import monotonic", "time.time", "timeout=60"]
