"""`physopt pinn`: solve a differential equation by its residual."""

import inspect
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from .exits import NotConverged
from .outputs import Outputs
from .pinn_network import network
from .progress import Progress, screen, significant

if TYPE_CHECKING:
    from physopt.pinn import Problem
    from physopt.pinn.method.attempted import Tried

app = cyclopts.App(name="pinn", help="Solve a differential equation, or train a network on one.")
app.command(network)


@app.default
def solve_equation(
    equation: str,
    *,
    choices: Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True, negative=())] = (),
    tol: float = 1e-6,
    library: Path | None = None,
    outputs: Outputs = Outputs(),
) -> None:
    """Solve a differential equation to an estimated error, which needs no reference.

    Parameters
    ----------
    equation
        One of poisson, heat, helmholtz, burgers, allen-cahn, convection, reaction, wave, kdv, cavity, kuramoto-sivashinsky, schroedinger,
        gray-scott.
    choices
        Parameters of the equation, as in --set nu=0.003.
    tol
        Relative L2 error to reach.
    library
        Folder of answers with other parameters: those nearby are begun from, and this one is added.
    """
    outputs.check()
    build = equation_named(equation)
    problem = build(**chosen_parameters(build, choices))
    if outputs.plot is not None and len(problem.coordinates) > 2:
        raise ValueError(
            f"{outputs.plot}: a picture shows two coordinates, and {equation} has {', '.join(problem.coordinates)}. Leave --plot out."
        )
    recording = outputs.recording({"equation": equation}, {})
    from physopt.pinn import solve

    began, count = time.perf_counter(), 0
    with Progress(equation) as progress:

        def tell(tried: "Tried") -> None:
            nonlocal count
            count += 1
            until = {} if tried.window is None else {"t": tried.window[1]}
            progress.update(count, **until, columns=tried.size, adds=tried.own, error=tried.error)

        answer = solve(problem, tol, library=library, record=recording, callback=tell)
    seconds = time.perf_counter() - began
    true = answer.true_error() if problem.reference is not None else None
    result = {
        "equation": equation,
        "parameters": problem.parameters,
        "tol": tol,
        "estimated_rel_l2": answer.error,
        "final_rel_l2": true,
        "claimed_converged": answer.converged,
        "why": answer.why,
        "windows": len(answer.pieces),
        "factors": answer.factors,
        "columns": answer.size,
        "seconds": seconds,
    }
    known = "" if true is None else f"; against the reference {true:.1e}"
    screen().print(f"{_named(problem, equation)}: estimated relative L2 error {answer.error:.1e}{known}; {seconds:.1f} s")
    outputs.write([result])
    if outputs.plot is not None:
        from physopt.plot.answers import plot_answer

        plot_answer(outputs.plot, _named(problem, equation), answer)
        screen().print(f"drawn in {outputs.plot}")
    if not answer.converged:
        raise NotConverged(f"not solved to {tol:g}: {answer.why}")


def _named(problem: "Problem", equation: str) -> str:
    return " ".join([equation, *(f"{name}={significant(value)}" for name, value in problem.parameters.items())])


def equation_named(name: str) -> Callable[..., "Problem"]:
    """Return what builds the equation of this name."""
    from physopt.pinn.equations import EQUATIONS

    if name not in EQUATIONS:
        raise ValueError(f"There is no equation {name!r} here; there are {', '.join(EQUATIONS)}. Your own is a pinn.Problem in Python.")
    return EQUATIONS[name]


def chosen_parameters(build: Callable[..., Any], choices: Sequence[str]) -> dict[str, float | int]:
    """Return the parameters of an equation from `name=value`."""
    known, chosen = inspect.signature(build).parameters, {}
    for choice in choices:
        name, _, text = choice.partition("=")
        if name not in known:
            raise ValueError(
                f"--set {choice}: the parameters of this equation are {', '.join(known)}; write --set {next(iter(known))}=VALUE."
            )
        kind = type(known[name].default)
        try:
            chosen[name] = kind(text)
        except ValueError:
            raise ValueError(
                f"--set {choice}: {text!r} is no {'whole ' if kind is int else ''}number; write --set {name}={known[name].default}."
            ) from None
    return chosen
