"""Read run folders that may be damaged or hostile in a child process with limited memory, processor time and wall time.

A crafted or damaged file can crash the HDF5 library or make it loop; here that costs the child, and the caller gets an
`UnreadableRunError`. The child loads this package alone, without physopt and JAX, so that it starts in a quarter of a second.
"""

import dataclasses
import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .packing import Report, pack, verify
from .read import Run, load
from .schema import UnreadableRunError

try:
    import resource
except ModuleNotFoundError:  # Windows: wall time is still limited
    resource = None

_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from trajectory.quarantine import child; child(*sys.argv[2:])"
_SECONDS = 8.0
_MEMORY = 2**30
_BAD_INPUT, _IO = 2, 4


def load_isolated(folder: str | Path) -> Run:
    """Do `load` in a child process. A run of honest size loads as usual; a file that breaks HDF5 raises `UnreadableRunError`."""
    with np.load(io.BytesIO(_ask("load", Path(folder))), allow_pickle=False) as answer:
        fields = json.loads(answer["fields"].tobytes())
        columns = {name: answer[f"column-{name}"] for name in fields["units"]}
    return Run(Path(folder), columns, **fields)


def verify_isolated(folder: str | Path) -> Report:
    """Do `verify` in a child process."""
    return Report(Path(folder), **json.loads(_ask("verify", Path(folder))))


def pack_isolated(folder: str | Path) -> Path:
    """Do `pack` in a child process."""
    return Path(json.loads(_ask("pack", Path(folder))))


def _ask(action: str, folder: Path) -> bytes:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; name the folder that was given as `record`.")
    stored = sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder))
    # Time and memory grow with what is really on disk, which costs an attacker as much as it costs us.
    seconds, memory = _SECONDS + stored / 10e6, _MEMORY + 16 * stored
    # -P, and no place that depends on the working directory: what is looked at is a stranger's, and so may be the folder that it lies in.
    places = os.pathsep.join(place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(place))  # noqa: PTH117
    environment = {**os.environ, "PYTHONPATH": places, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    command = [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[1]), action, str(folder), str(seconds), str(memory)]
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnreadableRunError(
            f"{folder} kept the reader busy for {seconds:.0f} s and was given up: a damaged or hostile file."
        ) from error
    if done.returncode == 0:
        return done.stdout
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise UnreadableRunError(f"{folder} broke the HDF5 library ({name}): a damaged or hostile file.")
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    raise (OSError if done.returncode == _IO else UnreadableRunError)(lines[-1][:1000])


def child(action: str, folder: str, seconds: str, memory: str) -> None:
    """Answer one question on standard output, inside the limits; the entry point of the child process."""
    if resource is not None:
        limits = {resource.RLIMIT_CPU: math.ceil(float(seconds)), resource.RLIMIT_AS: int(memory), resource.RLIMIT_CORE: 0}
        for kind, bound in limits.items():
            hard = resource.getrlimit(kind)[1]
            bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(kind, (bound, bound))
    actions = {"load": _load, "verify": _verify, "pack": lambda path: json.dumps(str(pack(path))).encode()}
    code, answer = 0, b""
    try:
        answer = actions[action](Path(folder))
    except MemoryError:
        code, answer = _BAD_INPUT, f"{folder} asks for more memory than its size on disk justifies.".encode()
    except ValueError as error:
        code, answer = _BAD_INPUT, " ".join(str(error).split()).encode()
    except OSError as error:
        code, answer = _IO, " ".join(str(error).split()).encode()
    stream = sys.stderr.buffer if code else sys.stdout.buffer
    stream.write(answer)
    stream.flush()
    # HDF5's own clean-up at exit may trip over a broken file that was already refused.
    os._exit(code)


def _load(folder: Path) -> bytes:
    run = load(folder)
    fields: dict[str, Any] = {f.name: getattr(run, f.name) for f in dataclasses.fields(run) if f.name not in ("folder", "columns")}
    encoded = np.frombuffer(json.dumps(fields).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, fields=encoded, **{f"column-{name}": column for name, column in run.columns.items()})
    return buffer.getvalue()


def _verify(folder: Path) -> bytes:
    report = verify(folder)
    return json.dumps({f.name: getattr(report, f.name) for f in dataclasses.fields(report) if f.name != "folder"}).encode()
