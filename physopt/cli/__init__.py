"""The command line: `physopt COMMAND`. Each command lives in a module of this package, imported when it is asked for."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cyclopts

from physopt import __version__

from . import exits
from .elsewhere import guarded

COMMANDS = {
    "demo": "Converge a real molecule with PySCF and with physopt, record it and draw it.",
    "scf": "Converge the self-consistent field of a molecule.",
    "pinn": "Solve a differential equation by its residual, or train a network on it.",
    "topopt": "Optimize the topology of a structure.",
    "farm": "Solve many problems in several processes.",
    "study": "Show what a study has cost and saved, and what it knows.",
    "train": "Meta-train a learned rule.",
    "bench": "Compare methods on your own cases.",
    "runs": "List, show, plot, verify and pack recorded runs.",
    "doctor": "Check this installation.",
}

app = cyclopts.App(
    name="physopt",
    help="Accelerate expensive physics: self-consistent fields, physics-informed networks, topology optimization.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for _name, _help in COMMANDS.items():
    app.command(f"physopt.cli.{_name}:app", name=_name, help=_help)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the process's, in float64.

    **Returns:** the exit code; see `physopt.cli.exits`.
    """
    _open_streams()
    tokens = list(sys.argv[1:] if argv is None else argv)
    with _float64(), guarded():
        return exits.run(lambda: app(tokens, exit_on_error=False, print_error=False, result_action="return_value"))


def _open_streams() -> None:
    """Let those of the standard streams that are closed, as daemons may have them, lead to nowhere.

    Else the next file that is opened, a record say, becomes standard output, and whatever a library prints goes into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number: this one
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


@contextmanager
def _float64() -> Iterator[None]:
    """Switch JAX to float64, now or when a command loads it: it takes a second, which a refusal need not spend."""
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", True)
        yield
        return
    before = os.environ.get("JAX_ENABLE_X64")
    os.environ["JAX_ENABLE_X64"] = "1"
    try:
        yield
    finally:
        os.environ.pop("JAX_ENABLE_X64")
        if before is not None:
            os.environ["JAX_ENABLE_X64"] = before
