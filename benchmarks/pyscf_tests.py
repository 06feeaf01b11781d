"""PySCF's own tests, plain and with factories that return accelerated mean fields: what differs, and why.

    python benchmarks/pyscf_tests.py --tests DIR [--only scf,grad] [--json FILE] [--jobs N] [--conv-check]

`DIR` is a source tree of PySCF, best of the installed version, `git clone --branch v2.14.0 https://github.com/pyscf/pyscf`; the tests run
against the installed PySCF, whose wheels ship none. Nothing is fetched. Every file runs in two processes of its own. A test that passes
plain and not accelerated must have its reason in `pyscf_tests.toml` beside this file; the exit status is 1 if one has none. With
`--conv-check`, those that only miss PySCF's extra build are gone.
"""

import argparse
import collections
import concurrent.futures
import functools
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FILES = {
    "scf": ("rhf", "uhf", "h2o", "h2o_vdz", "he", "addons", "diis", "stability", "diffuse_orbital", "response_function"),
    "dft": ("h2o", "he", "dftu"),
    "grad": ("rhf", "uhf", "rohf", "rks", "uks", "roks", "h2o"),
    "geomopt": ("berny_solver", "geometric_solver"),
    "solvent": ("ddcosmo", "pcm", "smd"),
    "df": ("df_jk", "df_grad", "df_hessian"),
    "soscf": ("newton_ah",),
    "qmmm": ("itrf", "grad_mm"),
    "hessian": ("rhf", "uhf", "rks", "uks"),
    "tdscf": ("tdrhf", "tduhf", "tdrks", "tduks"),
}
FACTORIES = {"pyscf.scf": ("RHF", "UHF", "ROHF", "HF"), "pyscf.dft": ("RKS", "UKS", "ROKS", "KS")}
OUTCOMES, DRESSED = "PYSCF_TESTS_OUTCOMES", "PYSCF_TESTS_DRESSED"


def pytest_configure(config):
    """As a plugin of pytest: dress what PySCF's factories return, where the model serves it."""
    if OUTCOMES in os.environ and DRESSED in os.environ:
        import importlib

        for name, factories in FACTORIES.items():
            module = importlib.import_module(name)
            for factory in factories:
                setattr(module, factory, _dressed(getattr(module, factory)))


def _dressed(factory):
    from physopt import accelerate
    from physopt.scf.supported import objection

    @functools.wraps(factory)
    def make(*args, **kwargs):
        mf = factory(*args, **kwargs)
        if objection(mf):
            return mf
        mf = accelerate(mf)
        if os.environ[DRESSED] == "polished":
            mf.conv_check = True
        return mf

    return make


def pytest_runtest_logreport(report):
    """As a plugin of pytest: write one line for each test's outcome."""
    if OUTCOMES in os.environ and (report.when == "call" or report.outcome != "passed"):
        lines = str(report.longrepr).strip().splitlines() if report.outcome == "failed" else [""]
        errors = [line for line in lines if line.startswith("E ")] or lines[-1:]
        entry = {"test": report.nodeid.split("::", 1)[1], "outcome": report.outcome, "error": errors[0].removeprefix("E").strip()}
        with Path(os.environ[OUTCOMES]).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def run(path: Path, dressed: str, limit: float) -> dict[str, tuple[str, str]]:
    """Return the outcome and the error of each test of a file, run in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder, "outcomes")
        outcomes.touch()
        here = str(Path(__file__).resolve().parent)
        known = os.environ | {"PYTHONPATH": here, OUTCOMES: str(outcomes), "OMP_NUM_THREADS": "1"} | ({DRESSED: dressed} if dressed else {})
        command = [sys.executable, "-m", "pytest", str(path), "-q", "-p", "pyscf_tests", "-p", "no:cacheprovider", "-c", os.devnull]
        command += ["--rootdir", folder]
        try:
            done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=limit)
            end = "" if done.returncode in (0, 1) else f"pytest ended with {done.returncode}: {done.stdout.strip().splitlines()[-1:]}"
        except subprocess.TimeoutExpired:
            end = f"took more than {limit:.0f} s"
        found = {}
        for line in outcomes.read_text().splitlines():
            entry = json.loads(line)
            found[entry["test"]] = (entry["outcome"], entry["error"])
        if end:
            found["(the file)"] = ("failed", end)
        return found


def main() -> int:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=Path, help="source tree of PySCF; default: the installed package")
    parser.add_argument("--only", help="packages or files, such as scf,grad/test_rks")
    parser.add_argument("--json", type=Path, help="write all outcomes there")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds for one file")
    parser.add_argument("--conv-check", action="store_true", help="with PySCF's polishing build, mf.conv_check = True")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    options = parser.parse_args()
    root = _root(options.tests)
    chosen = [f"{package}/test_{name}" for package, names in FILES.items() for name in names]
    if options.only:
        wanted = options.only.split(",")
        chosen = [name for name in chosen if name in wanted or name.split("/")[0] in wanted]
    paths = {name: root / name.replace("/", "/test/", 1) for name in chosen}
    paths = {name: path.with_suffix(".py") for name, path in paths.items()}
    if missing := [str(path) for path in paths.values() if not path.exists()]:
        sys.exit(f"No such test: {', '.join(missing)}. Is it the source of the installed version?")
    how = "polished" if options.conv_check else "dressed"
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        pending = {
            (name, dressed): pool.submit(run, path, how * dressed, options.limit)
            for name, path in paths.items()
            for dressed in (False, True)
        }
        results = {}
        for key, future in pending.items():
            results[key] = future.result()
            print(f"{key[0]}, {'accelerated' if key[1] else 'plain'}: {_passed(results[key])} passed", file=sys.stderr, flush=True)
    if options.json:
        options.json.write_text(json.dumps({f"{name} {dressed}": found for (name, dressed), found in results.items()}, indent=1))
    return report(results)


def _root(tests: Path | None) -> Path:
    import pyscf

    installed = Path(pyscf.__path__[0])
    for root in [installed] if tests is None else [tests / "pyscf", tests]:
        if (root / "scf" / "test").is_dir():
            return root
    sys.exit(
        f"{tests or installed} holds no pyscf/scf/test. Wheels ship no tests: pass --tests with a source tree of PySCF {pyscf.__version__}."
    )


def _passed(found: dict[str, tuple[str, str]]) -> int:
    return sum(outcome == "passed" for outcome, _ in found.values())


def report(results: dict[tuple[str, bool], dict[str, tuple[str, str]]]) -> int:
    """Print a row for each package and a line for each difference; return 1 if one has no reason."""
    reasons = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    rows, differences = collections.defaultdict(lambda: [0, 0, 0]), []
    for (name, dressed), found in results.items():
        row = rows[name.split("/")[0]]
        row[0] += not dressed
        row[1 + dressed] += _passed(found)
        if dressed:
            plain = results[name, False]
            lost = [test for test, (outcome, _) in plain.items() if outcome == "passed" and found.get(test, ("missing",))[0] != "passed"]
            differences += [(name, test, found.get(test, ("missing", "no outcome"))[1]) for test in lost]
    print("| package | files | plain | accelerated |\n|---|---|---|---|")
    for package, row in [*rows.items(), ("all", [sum(column) for column in zip(*rows.values(), strict=True)])]:
        print(f"| {package} | {row[0]} | {row[1]} | {row[2]} |")
    print("\n| test | reason |\n|---|---|")
    unknown = 0
    for name, test, error in differences:
        reason = reasons.get(name, {}).get(test)
        unknown += reason is None
        print(f"| {name} {test} | {reason or 'NO REASON KNOWN: ' + error} |")
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
