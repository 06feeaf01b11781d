"""The command line: `physopt COMMAND`. Each command lives in a module of this package, imported when it is asked for."""

import sys
from collections.abc import Sequence

import cyclopts
import jax

from physopt import __version__

from . import exits

COMMANDS = {
    "demo": "Converge a real molecule with PySCF and with physopt, record it and draw it.",
    "scf": "Converge the self-consistent field of a molecule.",
    "pinn": "Train a physics-informed network.",
    "topopt": "Optimize the topology of a structure.",
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
    jax.config.update("jax_enable_x64", True)
    tokens = list(sys.argv[1:] if argv is None else argv)
    return exits.run(lambda: app(tokens, exit_on_error=False, print_error=False, result_action="return_value"))
