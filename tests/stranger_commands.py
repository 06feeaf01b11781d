"""A process that runs the commands, `{"cwd", "argv"}`, on its standard input one after the other, and says what became of each."""

import contextlib
import io
import json
import os
import sys

from physopt.cli import main

results = []
for job in json.load(sys.stdin):
    os.chdir(job["cwd"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(job["argv"])
    results.append({**job, "code": code, "out": out.getvalue(), "err": err.getvalue()})
json.dump(results, sys.stdout)
