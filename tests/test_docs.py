"""The Python blocks of each page run as they stand, one after the other; fragments are marked `py`."""

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
# What comes after so many blocks of a page takes long.
QUICK = {"README": 5, "how-do-i": 5, "pinn": 2, "topopt": 1, "meta-learning": 0}
QUICK |= {"tutorials/part": 0, "tutorials/rule": 2, "tutorials/molecule": 2}


def parts():
    """Yield each page: whole, and if that takes long, by default only as far as it does not."""
    for page, blocks in BLOCKS.items():
        if QUICK.get(page):
            yield pytest.param(page, QUICK[page], id=f"{page}-quick")
        if blocks:
            yield pytest.param(page, len(blocks), id=page, marks=[pytest.mark.slow] * (page in QUICK))


@pytest.mark.parametrize(("page", "count"), list(parts()))
def test_blocks_run(page, count, tmp_path):
    (tmp_path / "data").symlink_to(ROOT / "data")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = "\n".join(BLOCKS[page][:count])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=1200, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr


def test_links_between_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_figure_is_left_to_be_filled_in(page):
    assert not re.findall(r"@[A-Z]+@|\bTBD\b|\bTODO\b|\bXX+\b", page.read_text())
