"""The Python blocks of each page run as they stand, one after the other; fragments are marked `py`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = {page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/"): page for page in PAGES}
BLOCKS = {name: re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE) for name, page in NAMES.items()}
WHOLE = {name: "\n".join(blocks) for name, blocks in BLOCKS.items() if blocks}
# What comes after so many blocks of a page takes long.
QUICK = {"README": 5, "how-do-i": 3, "scf": 2, "pinn": 2, "topopt": 1, "meta-learning": 0}
QUICK |= {"tutorials/part": 0, "tutorials/rule": 2, "tutorials/molecule": 2}
BEGUN = {name: "\n".join(BLOCKS[name][: QUICK.get(name)]) for name in WHOLE if QUICK.get(name) != 0}
# Each page in a folder and with names of its own; what it failed with is written down.
RUNNER = """
import json, os, sys, traceback
from pathlib import Path

here, failed = Path.cwd(), {}
for page, script in json.loads(sys.argv[1]).items():
    folder = here / page.replace("/", "-")
    folder.mkdir()
    (folder / "data").symlink_to(here / "data")
    os.chdir(folder)
    try:
        exec(compile(script, page, "exec"), {"__name__": "__main__"})
    except BaseException:
        failed[page] = traceback.format_exc()
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)
(here / "failed.json").write_text(json.dumps(failed))
"""


def ran(folder, pages):
    """Run pages one after the other in one process, and return what those that failed did so with."""
    (folder / "data").symlink_to(ROOT / "data")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", RUNNER, json.dumps(pages)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=1200, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "failed.json").read_text())


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("pages"), BEGUN)


@pytest.mark.parametrize("page", BEGUN)
def test_blocks_run(page, failed):
    assert page not in failed, failed[page]


@pytest.mark.slow
@pytest.mark.parametrize("page", WHOLE)
def test_a_whole_page_runs_by_itself(page, tmp_path):
    assert not ran(tmp_path, {page: WHOLE[page]})


def test_links_between_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_figure_is_left_to_be_filled_in(page):
    assert not re.findall(r"@[A-Z]+@|\bTBD\b|\bTODO\b|\bXX+\b", page.read_text())
