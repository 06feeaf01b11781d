"""`physopt train first-order`: meta-train a learned rule of first order on small trainings."""

from pathlib import Path
from typing import Any, NamedTuple

from .arguments import check_count, check_positive, check_seed
from .outputs import Report, command_line
from .progress import Progress, screen


class Recipe(NamedTuple):
    """Rate and decay of the constant that it begins with, as `bench l2o` finds them; width of perturbations; the training's own rate."""

    rate: float
    power: float
    sigma: float
    step: float


SOAP, ADAM = (0.1, 0.822), (0.058, 0.822)
RECIPES = {
    "soap-mixture": Recipe(*SOAP, 0.05, 0.02),
    "soap-schedule": Recipe(*SOAP, 0.05, 0.02),
    "per-coordinate": Recipe(*ADAM, 0.03, 0.01),
    "recurrent": Recipe(*ADAM, 0.03, 0.01),
    "per-coordinate-soap": Recipe(*SOAP, 0.03, 0.01),
    "recurrent-soap": Recipe(*SOAP, 0.03, 0.01),
}
VALIDATED = 8  # tasks of each template that only stop the training


def first_order(
    rule: str,
    /,
    *,
    steps: int = 150,
    tasks: int = 2,
    horizon: int = 400,
    seed: int = 0,
    minutes: float = 15.0,
    only: str | None = None,
    out: Path | None = None,
    outputs: Report = Report(),
) -> None:
    """Train a learned rule of first order on trainings of small networks, by evolution strategies over whole trainings.

    It begins with the constant, SOAP or Adam with a decay, and keeps the weights that are best on tasks it is not trained on.

    Parameters
    ----------
    rule
        soap-mixture, soap-schedule, per-coordinate, recurrent, per-coordinate-soap or recurrent-soap.
    steps
        Meta-training steps, at most.
    tasks
        Fresh trainings of each template per step, each run four times.
    horizon
        Steps of a training.
    seed
        Of the weights, tasks and perturbations.
    minutes
        Of processor time, after which the training ends, too.
    only
        Templates to train on, with commas between; all that `bench l2o` tunes on if left out.
    out
        Weight file to write.
    """
    if rule not in RECIPES:
        raise ValueError(f"{rule[:40]!r} is no learned rule of first order. These are: {', '.join(RECIPES)}.")
    for option, count in {"steps": steps, "tasks": tasks}.items():
        check_count(f"--{option}", count)
    check_count("--horizon", horizon, 16)
    check_seed(seed)
    check_positive("--minutes", minutes, "15")
    outputs.check(out)
    known = _templates(only)
    settings = {"command": command_line(), "seed": seed, "horizon": horizon, "tasks": tasks, "templates": [one.name for one in known]}
    told, best, interrupted = _trained(rule, known, steps, tasks, horizon, seed, minutes)
    screen().print(f"{rule}: validated loss {told['losses'][0]:.4f} -> {min(told['losses']):.4f} in {told['seconds']:.0f} s")
    if out is not None:
        from physopt.core.weights import save_weights

        save_weights(out, best, {**settings, **told})
        screen().print(f"wrote {out}")
    outputs.write([{"method": rule, **settings, **told}])
    if interrupted is not None:
        raise interrupted  # after all was written that was asked for


def _templates(only: str | None) -> list[Any]:
    from physopt.meta.families.networks import templates

    known = templates()["training"]
    if only is None:
        return known
    names = {one.name: one for one in known}
    if unknown := [name for name in only.split(",") if name not in names]:
        raise ValueError(f"--only: {', '.join(unknown)[:80]!r} is no template to train on. These are: {', '.join(names)}.")
    return [names[name] for name in dict.fromkeys(only.split(","))]


def _trained(
    rule: str, known: list[Any], steps: int, tasks: int, horizon: int, seed: int, minutes: float
) -> tuple[dict[str, Any], Any, BaseException | None]:
    """Return the record of a training, the best weights, and the interruption that ended it, if any."""
    import time

    import jax
    import optax

    from physopt.core.run import Interrupted
    from physopt.meta import Antithetic, Fall, Stratified, TrainingProgress, Union, Validation, draw, mean_loss, train
    from physopt.meta.families import Trainings
    from physopt.rules.first_order import OpenLoop, untrained

    recipe, family, loss, interrupted = RECIPES[rule], Union(tuple(Trainings(template=one) for one in known)), Fall(), None
    begun, before = OpenLoop(untrained(rule, seed), rule, recipe.rate, recipe.power, horizon), time.process_time()
    unseen = draw(family, jax.random.fold_in(jax.random.key(seed), 2**31 - 1), VALIDATED * len(known))
    with Progress(f"train {rule}", total=steps) as progress:
        validation = Validation(lambda found: mean_loss(loss, found, family, horizon, unseen), begun)

        def tell(step: TrainingProgress) -> bool:
            ends = validation(step) or time.process_time() - before > 60.0 * minutes
            progress.update(step.index + 1, loss=step.loss, gradient=step.grad_norm, validated=validation.losses[-1])
            return ends

        try:
            _, training = train(
                begun,
                family,
                Stratified(estimator=Antithetic(horizon, sigma=recipe.sigma, pairs=2)),  # pyright: ignore[reportCallIssue]
                optax.adam(optax.linear_schedule(recipe.step, 0.1 * recipe.step, steps)),
                num_steps=steps,
                key=jax.random.key(seed),
                tasks_per_step=tasks * len(known),
                meta_loss=loss,
                callback=tell,
            )
        except Interrupted as signal:
            (_, training), interrupted = signal.found, signal
            if not len(training.loss):
                raise
    looked = len(validation.losses) * len(unseen.keys) * horizon
    told = {"rate": recipe.rate, "power": recipe.power, "steps_done": len(training.loss)}
    told |= {"losses": [round(one, 5) for one in validation.losses], "seconds": time.process_time() - before}
    return {**told, "evaluations": round(float(training.cost[-1])) + looked}, validation.best.weights, interrupted
