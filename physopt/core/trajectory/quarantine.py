"""Read run folders that may be damaged or hostile in a child process with limited memory and processor time.

A crafted or damaged file can crash the HDF5 library or make it loop. Here only the child dies, and the caller gets an
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
import time
from pathlib import Path
from typing import Any

import numpy as np

from .packing import Report, pack, verify
from .read import Checkpoint, Run, load, load_checkpoint
from .schema import UnreadableRunError

try:
    import resource
except ModuleNotFoundError:  # Windows: the time is still limited
    resource = None

_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from trajectory.quarantine import child; child(*sys.argv[2:])"
_SECONDS = 8.0  # of the processor
_LONGEST = 600.0
_PATIENCE = 20  # seconds by the clock for each of the processor: the machine may be busy
_MEMORY = 2**30
_READY = b"."
_BAD_INPUT, _IO = 2, 4


def load_isolated(folder: str | Path) -> Run:
    """Do `load` in a child process. A valid run loads as usual; a file that breaks HDF5 raises `UnreadableRunError`."""
    with np.load(io.BytesIO(_ask("load", Path(folder))), allow_pickle=False) as answer:
        fields = json.loads(answer["fields"].tobytes())
        columns = {name: answer[f"column-{name}"] for name in fields["units"]}
    return Run(Path(folder), columns, **fields)


def verify_isolated(folder: str | Path) -> Report:
    """Do `verify` in a child process."""
    return Report(Path(folder), **json.loads(_ask("verify", Path(folder))))


def load_checkpoint_isolated(folder: str | Path) -> Checkpoint | None:
    """Do `load_checkpoint` in a child process."""
    with np.load(io.BytesIO(_ask("checkpoint", Path(folder))), allow_pickle=False) as answer:
        leaves = [answer[f"{number}"] for number in range(len(answer.files) - 1)]
        return Checkpoint(int(answer["index"]), leaves) if answer["index"] >= 0 else None


def pack_isolated(folder: str | Path) -> Path:
    """Do `pack` in a child process."""
    return Path(json.loads(_ask("pack", Path(folder))))


def _ask(action: str, folder: Path) -> bytes:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; name the folder that was given as `record`.")
    stored = sum(_on_disk(entry.stat(follow_symlinks=False)) for entry in os.scandir(folder))
    # Time and memory grow with what is really on disk, which costs an attacker as much as it costs us, up to a ceiling.
    seconds, memory = min(_SECONDS + stored / 10e6, _LONGEST), min(_MEMORY + 16 * stored, _memory_of_the_machine())
    # -P, and no place that depends on the working directory: what is looked at is a stranger's, and so may be the folder that it lies in.
    places = os.pathsep.join(place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(place))  # noqa: PTH117
    environment = {**os.environ, "PYTHONPATH": places, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    command = [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[1]), action, str(folder), str(seconds), str(memory)]
    none, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, env=environment, bufsize=0, stdin=none, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.read(len(_READY))  # however long Python and its imports take to start
        try:
            answer, told = process.communicate(timeout=_PATIENCE * seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise TimeoutError(
                f"{folder} could not be read in {error.timeout:.0f} s: the machine or the disk is busy, or the file makes HDF5 wait. "
                "Try again when they are idle."
            ) from error
    if process.returncode == 0:
        return answer
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        why = f"needed more than {seconds:.0f} s of the processor" if name in ("SIGXCPU", "SIGKILL") else f"broke the HDF5 library ({name})"
        raise UnreadableRunError(f"{folder} {why}: a damaged or hostile file.")
    lines = told.decode(errors="replace").strip().splitlines() or ["no message"]
    raise (OSError if process.returncode == _IO else UnreadableRunError)(lines[-1][:1000])


def _on_disk(state: os.stat_result) -> int:
    # A sparse file is as long as it says, but holds no more than its blocks.
    return min(state.st_size, 512 * getattr(state, "st_blocks", state.st_size))


def _memory_of_the_machine() -> int:
    known = hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys()
    return max(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else 2**34, _MEMORY)


def child(action: str, folder: str, seconds: str, memory: str) -> None:
    """Answer one request on standard output, within the limits; the entry point of the child process."""
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    if resource is not None:
        processor = math.ceil(time.process_time() + float(seconds))
        limits = {resource.RLIMIT_CPU: processor, resource.RLIMIT_AS: int(memory), resource.RLIMIT_CORE: 0}
        for kind, bound in limits.items():
            hard = resource.getrlimit(kind)[1]
            bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(kind, (bound, bound))
    actions = {"load": _load, "verify": _verify, "checkpoint": _checkpoint, "pack": _pack}
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


def _checkpoint(folder: Path) -> bytes:
    found, buffer = load_checkpoint(folder), io.BytesIO()
    leaves = {} if found is None else {f"{number}": leaf for number, leaf in enumerate(found.leaves)}
    np.savez(buffer, allow_pickle=False, index=np.array(-1 if found is None else found.index), **leaves)
    return buffer.getvalue()


def _pack(folder: Path) -> bytes:
    return json.dumps(str(pack(folder))).encode()


def _verify(folder: Path) -> bytes:
    report = verify(folder)
    return json.dumps({f.name: getattr(report, f.name) for f in dataclasses.fields(report) if f.name != "folder"}).encode()
