"""`physopt train topopt`: learn how to use averaged grids, on random structures."""

from pathlib import Path

from .arguments import check_count, check_seed
from .outputs import Recorded, command_line
from .progress import Progress, screen


def topopt(
    *,
    steps: int = 16,
    tasks: int = 6,
    size: int = 96,
    seed: int = 0,
    out: Path | None = None,
    outputs: Recorded = Recorded(),
) -> None:
    """Train the seven numbers of the learned method by evolution strategies, on random structures of one size.

    Parameters
    ----------
    steps
        Meta-training steps.
    tasks
        Fresh structures per step; each is optimized four times.
    size
        Elements along the structures, a multiple of 8.
    seed
        Seed of structures and perturbations.
    out
        Weight file to write.
    """
    for option, count in {"steps": steps, "tasks": tasks, "size": size}.items():
        check_count(f"--{option}", count)
    check_seed(seed)
    outputs.check(out)
    import jax
    import optax

    from physopt.core.run import Interrupted
    from physopt.core.weights import save_weights
    from physopt.meta.estimators import Antithetic
    from physopt.meta.training import TrainingProgress, train
    from physopt.topopt.family import RandomStructures
    from physopt.topopt.method.schedule import SOLUTIONS, Excess, Schedule, run

    settings = {"command": command_line(), "steps": steps, "tasks": tasks, "size": size, "seed": seed}
    with Progress("train topopt", total=steps) as progress:

        def tell(step: TrainingProgress) -> None:
            progress.update(step.index + 1, loss=step.loss, gradient=step.grad_norm)

        interrupted = None
        try:
            schedule, training = train(
                Schedule.by_hand(),
                RandomStructures(size=size),
                Antithetic(SOLUTIONS, sigma=0.5, pairs=2, run=run),
                optax.adam(0.1),
                num_steps=steps,
                key=jax.random.key(seed),
                tasks_per_step=tasks,
                meta_loss=Excess(),
                record=outputs.recording(settings, {"seed": seed, "tasks": tasks, "size": size}),
                callback=tell,
            )
        except Interrupted as signal:
            (schedule, training), interrupted = signal.found, signal
            if not len(training.loss):
                raise
    numbers = {name: round(value, 4) for name, value in schedule.numbers().items()}
    screen().print(f"{numbers} after {training.seconds[-1]:.0f} s")
    if out is not None:
        save_weights(out, schedule, {**settings, "steps_done": len(training.loss)})
        screen().print(f"wrote {out}")
    outputs.write([{**settings, **numbers, "steps_done": len(training.loss), "seconds": float(training.seconds[-1])}])
    if interrupted is not None:
        raise interrupted  # after all was written that was asked for
