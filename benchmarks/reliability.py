"""Kill commands again and again, and damage records: what is lost, and what is silent?

    python benchmarks/reliability.py kills --each 12      # kill -9 at random times, resume, compare with the unbroken run bit for bit
    python benchmarks/reliability.py damage --count 300   # flip bits, cut off, write zeros, in every file of a record

Both print one table, and end with exit code 1 if anything was lost or silent.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from physopt.core.trajectory import Column, Recorder, UnreadableRunError, load, load_checkpoint, verify
from physopt.core.trajectory.whole import parts

PHYSOPT = [sys.executable, "-c", "import sys; from physopt.cli import main; sys.exit(main())"]
NO2 = "3\nspin=1\nN 0 0 0\nO 0 1.1 0.46\nO 0 -1.1 0.46\n"
COMMANDS = {
    "scf": "scf {home}/no2.xyz --basis 6-31g",
    "scf --target stable": "scf {home}/no2.xyz --basis sto-3g --target stable",
    "topopt 2D": "topopt cantilever --shape 32x20 --max-iterations 12",
    "topopt 3D": "topopt cantilever-3d --shape 8x6x4 --max-iterations 10",
    "pinn": "pinn network --width 6 --depth 1 --points 60 --steps 25",
    "train quadratics": "train quadratics --steps 12 --tasks 2 --seeds 1",
    "train topopt": "train topopt --steps 2 --tasks 1 --size 32",
}
KINDS = ("harmless", "found", "refused", "crashed", "hung", "silent")
# Not of the result: times, and norms that PySCF sums in another order than the record, whose columns are compared.
TIMES = {"seconds", "wall_s", "meta_training_s", "grad_norms", "equivalents", "history"}


def start(arguments: list[str]) -> subprocess.Popen:
    """Start `physopt` with some arguments."""
    return subprocess.Popen([*PHYSOPT, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(arguments: list[str]) -> float:
    """Let `physopt` run to its end; returns how long it took."""
    began = time.monotonic()
    process = start(arguments)
    told = process.communicate()[1]
    if process.returncode not in (0, 3):  # 3: out of its budget, as meant here
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: {told[-500:]}")
    return time.monotonic() - began


def outcome(folder: Path, report: Path) -> tuple[list[dict], dict[str, bytes]]:
    """Return what a command reported but times, and the bytes of every column but times in all of its records."""
    records = json.loads(report.read_text())["records"]
    columns = {
        f"{part.name if part != folder else ''}/{name}": column.tobytes()
        for part in parts(folder) or [folder]
        for name, column in load(part).columns.items()
        if name not in TIMES
    }
    return [{name: each for name, each in record.items() if name not in TIMES and name != "command"} for record in records], columns


def kill(name: str, home: Path, kills: int, dice: random.Random) -> tuple[int, int, str]:
    """Kill a command until it was killed often enough or ends, resume it to its end; returns kills, runs, and what differs."""
    command = COMMANDS[name].format(home=home).split()
    place = home / name.replace(" ", "-")
    place.mkdir()
    whole = [*command, "--record", str(place / "whole"), "--json", str(place / "whole.json")]
    length = finished(whole)
    expected, done, runs, differs = outcome(place / "whole", place / "whole.json"), 0, 0, []
    while done < kills:
        runs += 1
        folder, report = place / f"run-{runs}", place / f"run-{runs}.json"
        again = [*command, "--record", str(folder), "--json", str(report), "--resume"]
        for _ in range(min(4, kills - done)):
            process = start(again)
            time.sleep(dice.uniform(0.2, 1.0) * length)
            if process.poll() is not None:
                break
            process.kill()
            process.communicate()
            done += 1
        if not report.exists():
            finished(again)
        differs += [] if outcome(folder, report) == expected else [folder.name]
    return done, runs, ", ".join(differs)


def kill_packing(home: Path, kills: int, dice: random.Random) -> tuple[int, int, str]:
    """Kill `runs pack` and `runs export`; the record must read whole each time."""
    folder, lost = recorded(home / "packed", 400, 3), []
    expected = load(folder).columns["value"].tobytes()
    for number in range(kills):
        shutil.copytree(folder, copy := home / f"copy-{number}")
        what = ["runs", "pack", str(copy)] if number % 2 else ["runs", "export", str(copy), str(home / "best.npz")]
        process = start(what)
        time.sleep(dice.uniform(0.5, 3.0))
        process.kill()
        process.communicate()
        if load(copy).columns["value"].tobytes() != expected or not verify(copy).ok or load_checkpoint(copy) is None:
            lost.append(copy.name)
        shutil.rmtree(copy)
    return kills, kills, ", ".join(lost)


def recorded(folder: Path, count: int, attempts: int, finish: bool = False) -> Path:
    """Return a run of some records, made in some attempts."""
    for attempt in range(attempts):
        leaves = [np.arange(50.0), np.arange(3)]
        columns = {"value": Column("hartree"), "row": Column("1", shape=(4,))}
        recorder = Recorder(folder, columns=columns, checkpoint=leaves, spec={"xc": "b3lyp"}, resume=True, durability="process")
        for index in range(recorder.next_index, (attempt + 1) * count // attempts):
            recorder.append({"value": np.sin(index), "row": np.full(4, index)}, [leaves[0] + index, leaves[1] + index])
        if finish and attempt == attempts - 1:
            recorder.finish({"reason": "converged", "value": -76.5})
        recorder.close()
    return folder


def truth(folder: Path) -> list[bytes]:
    """Return all that a reader is told of a run, as bytes."""
    run, checkpoint = load(folder), load_checkpoint(folder)
    told = [run.columns[name].tobytes() for name in sorted(run.columns)]
    told += [json.dumps([run.units, run.spec, run.summary, run.status, run.created, run.versions], sort_keys=True).encode()]
    return told + ([] if checkpoint is None else [leaf.tobytes() for leaf in checkpoint.leaves])


def damaged(content: bytes, dice: random.Random) -> tuple[str, bytes]:
    """Return a way to damage a file, and the file so damaged."""
    kind, at, data = dice.choice(["bit", "bit", "bytes", "zeros", "cut"]), dice.randrange(len(content)), bytearray(content)
    if kind == "bit":
        data[at] ^= 1 << dice.randrange(8)
    elif kind == "bytes":
        data[at : at + 8] = dice.randbytes(len(data[at : at + 8]))
    elif kind == "zeros":
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    else:
        del data[at:]
    return kind, bytes(data)


def damage(home: Path, count: int, dice: random.Random) -> tuple[list[list], bool]:
    """Damage records; returns a table by kind of damage: harmless, found, refused, silent."""
    records = [recorded(home / "left", 12, 2), recorded(home / "done", 12, 2, finish=True)]
    expected = {folder: truth(folder) for folder in records}
    table: dict[str, dict[str, int]] = {}
    reader = Reader()
    for _ in range(count):
        folder = dice.choice(records)
        file = dice.choice([path for path in folder.iterdir() if path.is_file()])
        content = file.read_bytes()
        kind, changed = damaged(content, dice)
        file.write_bytes(changed)
        table.setdefault(kind, dict.fromkeys(KINDS, 0))[reader(folder, expected[folder])] += 1
        file.write_bytes(content)
    assert all(truth(folder) == told for folder, told in expected.items())
    return [[kind, *row.values()] for kind, row in sorted(table.items())], any(row["silent"] for row in table.values())


def judge(folder: Path, expected: list[bytes]) -> str:
    """Say what readers make of a record."""
    try:
        found = not verify(folder).ok
        same = truth(folder) == expected
    except UnreadableRunError:
        return "refused"
    return "found" if found else "harmless" if same else "silent"


class Reader:
    """One child process that judges, as the commands read in one: where HDF5 crashes or hangs, the next question gets another."""

    def __init__(self):
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def __call__(self, folder: Path, expected: list[bytes]) -> str:
        """Return what `judge` says, or what became of the child."""
        try:
            return self._pool.submit(judge, folder, expected).result(timeout=300)
        except (BrokenProcessPool, TimeoutError) as error:
            for child in list(self._pool._processes.values()):
                child.kill()
            self._pool = self._new()
            return "crashed" if isinstance(error, BrokenProcessPool) else "hung"


def show(header: list[str], rows: list[list]) -> None:
    """Print a table as Markdown."""
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "damage"])
    parser.add_argument("--each", type=int, default=12, help="kills of each command")
    parser.add_argument("--count", type=int, default=300, help="damaged records")
    parser.add_argument("--only", nargs="*", default=[*COMMANDS, "runs pack, export"], help="commands to kill")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    dice = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "no2.xyz").write_text(NO2)
        if chosen.what == "damage":
            rows, silent = damage(home, chosen.count, dice)
            show(["damage", *KINDS], rows)
            return int(silent)
        rows = []
        for name in chosen.only:
            rows.append([name, *(kill(name, home, chosen.each, dice) if name in COMMANDS else kill_packing(home, chosen.each, dice))])
            print(rows[-1], file=sys.stderr, flush=True)
        show(["command", "kills", "runs", "differ from the unbroken one"], rows)
        return int(any(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
