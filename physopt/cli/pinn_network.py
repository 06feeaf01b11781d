"""`physopt pinn network`: train a network on Poisson's equation."""

from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import check_count, check_positive, check_seed
from .exits import NotConverged
from .outputs import Outputs
from .progress import Progress, screen

if TYPE_CHECKING:
    from physopt.core.run import Solution
    from physopt.pinn import Poisson


def network(
    *,
    frequency: int = 1,
    width: int = 16,
    depth: int = 2,
    points: int = 600,
    steps: int = 300,
    seed: int = 0,
    target: float = 1e-5,
    outputs: Outputs = Outputs(),
) -> None:
    """Train a network by Gauss-Newton on Poisson's equation in the unit square; the solution, sin(k pi x) sin(k pi y), is known.

    Parameters
    ----------
    frequency
        k, a whole number.
    width
        Neurons in each hidden layer.
    depth
        Number of hidden layers.
    points
        Number of collocation points.
    steps
        Give up after this many steps.
    seed
        Seed of the collocation points and of the first network.
    target
        Stop when the relative L2 error is below this.
    """
    outputs.check()
    check_positive("--target", target, "1e-5")
    check_seed(seed)
    counts = {"frequency": frequency, "width": width, "depth": depth, "points": points, "steps": steps}
    for option, count in counts.items():
        check_count(f"--{option}", count)
    import equinox as eqx
    import jax

    from physopt.core.run import Interrupted, Progress as Step, minimize
    from physopt.core.stop import Stop
    from physopt.pinn import Poisson, scatter, single_mode
    from physopt.rules.model_step import ModelStep

    settings = {"frequency": frequency, "width": width, "depth": depth, "points": points, "seed": seed, "target": target}
    scattered, first = jax.random.split(jax.random.key(seed))
    problem = Poisson(amplitude=single_mode(frequency), collocation=scatter(scattered, points), width=width, depth=depth)
    measure = eqx.filter_jit(problem.error)
    asked = {name: value for name, value in settings.items() if name != "target"}
    wanted, interrupted = outputs.recording({"problem": "poisson", **settings}, asked), None
    with Progress("poisson", total=steps) as progress:

        def reached(step: Step) -> bool:
            found = float(measure(step.carry.trial))
            progress.update(step.index, value=float(step.carry.evaluation.value), error=found)
            return found <= target

        try:
            stop = Stop(max_evaluations=steps + 1)
            solution = minimize(problem, ModelStep(), problem.init(first), stop=stop, record=wanted, callback=reached)
        except Interrupted as signal:
            solution, interrupted = signal.found, signal
            if not solution.num_evaluations:
                raise
    error = float(measure(solution.point))
    result = {
        **settings,
        "evaluations": solution.num_evaluations,
        "seconds": float(solution.history.seconds[-1]),
        "value": float(solution.evaluation.value),
        "relative_error": error,
        "reached": error <= target,
    }
    screen().print(f"relative L2 error {error:.3e} after {solution.num_evaluations} evaluations, {result['seconds']:.1f} s")
    outputs.write([result])
    if outputs.plot is not None:
        _draw(outputs.plot, problem, solution, frequency)
    if interrupted is not None:
        raise interrupted  # after all was written that was asked for
    if error > target:
        raise NotConverged(f"relative L2 error {error:.3e}, above the target {target:g}; more --steps, --width or --points may reach it")


def _draw(path: Path, problem: "Poisson", solution: "Solution", frequency: int) -> None:
    import jax
    import numpy as np

    from physopt.pinn.poisson import square_grid
    from physopt.plot.fields import plot_solution

    num = 96
    grid = square_grid(num)
    u, exact = (np.asarray(jax.vmap(f)(grid)).reshape(num, num) for f in (lambda x: problem.solution(solution.point, x), problem.exact))
    plot_solution(path, f"Poisson, frequency {frequency}", u, u - exact, solution.history)
    screen().print(f"drawn in {path}")
