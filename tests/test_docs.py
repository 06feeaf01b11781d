"""The Python blocks of each page run as they stand, one after the other; fragments are marked `py`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = {page.stem: "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)) for page in PAGES}


@pytest.mark.parametrize("page", [page for page, script in SCRIPTS.items() if script])
def test_blocks_run(page, tmp_path):
    (tmp_path / "data").symlink_to(ROOT / "data")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPTS[page]], capture_output=True, text=True, timeout=1200, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_figure_is_left_to_be_filled_in(page):
    assert not re.findall(r"@[A-Z]+@|\bTBD\b|\bTODO\b|\bXX+\b", page.read_text())
