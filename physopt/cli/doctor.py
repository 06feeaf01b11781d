"""`physopt doctor`: check that everything is installed that a calculation needs, and what would make it faster or safer."""

import contextlib
import dataclasses
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import cyclopts
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from physopt.apart import environment
from physopt.core.extras import OPTIONAL, installed
from physopt.core.trajectory import Column, Recorder, load
from physopt.scf.xyz import XYZError, read_xyz

from .elsewhere import NO_SETTINGS

REQUIRED = ("jax", "jaxlib", "equinox", "optax", "jaxtyping", "numpy", "scipy", "h5py", "pyscf", "safetensors")
CARDS = Path("/proc/driver/nvidia/gpus")
ON_DEVICE = "unroll, meta-training of traceable families, networks of pinn, multigrid of topopt, scf.incore"
ON_HOST = "PySCF with physopt.accelerate, the least squares of pinn.solve, factorizations and densities of topopt, Study"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_CPUS_PER_TASK")

app = cyclopts.App(name="doctor", help="Check this installation.")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report; `ok` is None for advice that stops nothing."""

    subject: str
    ok: bool | None
    detail: str


@app.default
def doctor() -> int:
    """Check versions, precision, device, threads, PySCF, HDF5 and the network, and say what to repair.

    Exit code 0 if calculations can run here, 4 if not.
    """
    findings = [f for check in (_versions, _precision, _device, _threads, _blas, _pyscf, _xyz, _recording, _network) for f in check()]
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        mark = {True: "[green]ok[/]", False: "[red]bad[/]", None: "[yellow]note[/]"}[finding.ok]
        table.add_row(mark, finding.subject, Text(finding.detail))  # square brackets are its own
    Console().print(table)
    return 4 if any(f.ok is False for f in findings) else 0


def _versions() -> Iterator[Finding]:
    system = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("Python", sys.version_info >= (3, 11), system)
    for name in REQUIRED:
        version = _version(name)
        yield Finding(name, version is not None, version or f"missing: pip install {name}")
    for module, package in OPTIONAL.items():
        version = _version(package.distribution) if installed(module) else None
        yield Finding(package.distribution, None if version is None else True, version or f"not installed; {package.sentence}")
    berny = _version("pyberny")  # no extra: PySCF uses it, physopt does not
    yield Finding("pyberny", True if berny else None, berny or "not installed; PySCF's geometry optimization needs it: pip install pyberny")


def _precision() -> Iterator[Finding]:
    import jax.numpy as jnp

    yield Finding("float64", jnp.ones(1).dtype == jnp.float64, f"JAX computes in {jnp.ones(1).dtype}")


def _device() -> Iterator[Finding]:
    import jax

    devices, chosen, cards = jax.devices(), os.environ.get("JAX_PLATFORMS"), _cards()
    many = f", the first of {len(devices)}; meta.train(devices=...) and farm.sharded use all" if len(devices) > 1 else ""
    yield Finding("device", True, f"JAX computes on {devices[0].platform} ({devices[0].device_kind}){many}")
    if cards and devices[0].platform == "cpu":
        why = f"JAX_PLATFORMS={chosen}: unset it" if chosen else "this jaxlib is for CPUs: pip install 'jax[cuda12]'"
        yield Finding("accelerator", None, f"{', '.join(cards)} is not used, because {why}")
    yield Finding("on the device", True, ON_DEVICE)
    yield Finding("on the host", True, ON_HOST)


def _cards() -> list[str]:
    """Return the names of the NVIDIA cards that the system knows, whether or not JAX can use them."""
    found = []
    for file in sorted(CARDS.glob("*/information")):
        with contextlib.suppress(OSError):
            found += [line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith("Model:")]
    return found


def _threads() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings = ", ".join(f"{name}={os.environ[name]}" for name in THREADS if name in os.environ)
    advice = "" if settings else "; molecules below about 100 basis functions run faster with OMP_NUM_THREADS=1"
    yield Finding("threads", True if settings else None, f"{cores} cores, {settings or 'no limit set'}{advice}")


def _blas() -> Iterator[Finding]:
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    yield Finding("BLAS", True, f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip())


def _pyscf() -> Iterator[Finding]:
    # In a process of its own: a broken compiled library ends that one, and its import costs this one nothing.
    script = "import pyscf.dft, pyscf.scf; from pyscf import lib; print(lib.num_threads())"
    try:
        command = [sys.executable, "-P", "-c", script]  # nothing from the working directory
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment())
    except subprocess.TimeoutExpired:
        yield Finding("PySCF runs", False, "its import takes more than 120 s")
        return
    lines = (done.stderr.strip() or f"ended with {done.returncode}").splitlines()
    yield Finding("PySCF runs", done.returncode == 0, f"{done.stdout.strip()} threads" if done.returncode == 0 else lines[-1])
    config = Path(os.environ.get("PYSCF_CONFIG_FILE", Path.home() / ".pyscf_conf.py"))
    if config.exists() and config != NO_SETTINGS:
        yield Finding("PySCF config", None, f"PySCF executes {config} when it is imported; make sure that it is yours")


def _xyz() -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        canary, path = Path(folder) / "canary", Path(folder) / "hostile.xyz"
        path.write_text(f"1\nspin=1\nH 0 0 open({str(canary)!r},'w').close()\n")
        try:
            read_xyz(path)
            refused = False
        except XYZError:
            refused = not canary.exists()
    yield Finding("hostile XYZ", refused, "refused, nothing executed" if refused else "was accepted")


def _recording() -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            detail = _record_and_read(Path(folder) / "probe")
        except (OSError, ValueError) as error:
            yield Finding("recording", False, f"in {folder}: {error}")
            return
    yield Finding("recording", True, f"{detail}, read while written in {tempfile.gettempdir()}")


def _record_and_read(folder: Path) -> str:
    """Write one record, read it back while the file is open, and return the version of HDF5 that did it."""
    leaves = [np.arange(3.0)]
    recorder = Recorder(folder, columns={"value": Column("1")}, checkpoint=leaves, spec={}, resume=False, durability="process")
    try:
        recorder.append({"value": 0.5}, leaves)
        run = load(folder)
    finally:
        recorder.close()
    if list(run.columns["value"]) != [0.5]:
        raise ValueError(f"wrote 0.5 and read {run.columns['value']}; does this file system order its writes? Record to a local disk.")
    return f"HDF5 {run.versions.get('hdf5', 'of h5py ' + (_version('h5py') or '?'))}"


def _network() -> Iterator[Finding]:
    if shutil.which("uv") and "SSL_CERT_FILE" not in os.environ and "UV_SYSTEM_CERTS" not in os.environ:
        yield Finding("uv", None, "if it does not trust your network's certificates, set UV_SYSTEM_CERTS=1")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
