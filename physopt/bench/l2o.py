"""Compare rules of first order on small trainings: steps to the lowest loss that Adam reaches with one rate for all tasks."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree
from numpy import ndarray
from scipy.stats import trim_mean

from physopt.core.extras import need
from physopt.meta.families.networks import ROWS, Template
from physopt.rules.first_order.shipped import LEARNED, decayed, learned, provenance
from physopt.rules.soap import soap

BATCH = 64  # rows of a step
LOOK = 8  # steps between two looks at the loss of all rows, as many as one gradient of all rows costs
TUNED = 7  # tasks of each training template that settings are tried on
REFERENCE, CONSTANT = "adam", "physopt"  # what steps are counted against; what learned rules have to beat
CIRCLES = ("similar", "related", "novel")
Ranges = Mapping[str, tuple[float, float]]
Curves = Float[ndarray, "... looks"]


Build = Callable[[Mapping[str, Array], int], optax.GradientTransformation]


class Method(NamedTuple):
    """A rule as an Optax transformation of its settings and the number of steps; settings are drawn between the ends, as logarithms.

    - `whole`: takes the gradient of all rows, which counts as eight steps.
    - `trained`: what is known of the training of a rule that is learned, which has settings of its own and none to be tried.
    """

    build: Build
    ranges: Ranges
    whole: bool = False
    trained: Callable[[], Mapping[str, Any]] | None = None


def _soap_decayed(at: Mapping[str, Array], steps: int) -> optax.GradientTransformation:
    return optax.chain(soap(1.0), optax.scale_by_schedule(decayed(at["rate"], at["power"], steps)))


def _begun() -> Mapping[str, Any]:
    """Return the settings that the trainings of learned rules around SOAP began with."""
    return {**provenance("soap-mixture"), "seconds": 0.0, "evaluations": 0}


RATES, POWERS = {"rate": (3e-4, 0.1)}, {"power": (0.3, 2.0)}
METHODS: Mapping[str, Method] = {
    REFERENCE: Method(lambda at, steps: optax.adam(at["rate"]), RATES),
    "adam-decay": Method(lambda at, steps: optax.adam(decayed(at["rate"], at["power"], steps)), {**RATES, **POWERS}),
    "sgd": Method(lambda at, steps: optax.sgd(at["rate"], 1.0 - at["friction"]), {"rate": (1e-3, 1.0), "friction": (0.02, 0.5)}),
    "lion": Method(lambda at, steps: optax.lion(decayed(at["rate"], at["power"], steps)), {"rate": (3e-5, 0.03), **POWERS}),
    "muon": Method(lambda at, steps: optax.contrib.muon(decayed(at["rate"], at["power"], steps)), {**RATES, **POWERS}),
    "lbfgs": Method(lambda at, steps: optax.lbfgs(at["rate"], linesearch=None), {"rate": (0.03, 1.0)}, whole=True),
    "soap": Method(lambda at, steps: soap(at["rate"]), RATES),
    "physopt": Method(_soap_decayed, {**RATES, **POWERS}),
    "soap-untrained": Method(_soap_decayed, {}, trained=_begun),
    **{
        name: Method(lambda at, steps, name=name: learned(name, horizon=steps), {}, trained=functools.partial(provenance, name))
        for name in LEARNED
    },
}


class Tasks(NamedTuple):
    """Tasks of one template: parameters to begin with, data, and which rows each step takes; one of each for every task."""

    template: Template
    params: PyTree
    rows: PyTree
    chosen: Int[Array, "tasks steps rows"]

    @classmethod
    def of(cls, template: Template, circle: int, number: int, count: int, steps: int) -> "Tasks":
        """Draw so many tasks of the template with this number in its circle."""
        seed = (circle, number)
        keys = jnp.stack([jax.random.key(int(one)) for one in np.random.SeedSequence(seed).generate_state(count)])
        chosen = np.random.default_rng(seed).integers(0, ROWS, (count, steps, BATCH), np.int32)
        params, rows = jax.jit(jax.vmap(template.draw))(keys)
        return cls(template, params, rows, jnp.asarray(chosen))

    def curves(self, name: str, settings: Mapping[str, Float[ndarray, " settings"]]) -> Float[ndarray, "settings tasks looks"]:
        """Return the loss of all rows after every eight steps of a method."""
        number, method = len(next(iter(settings.values()))), METHODS[name]
        each = [
            _curves(self.template, method.build, method.whole, {key: jnp.float32(x[k]) for key, x in settings.items()}, *self[1:])
            for k in range(number)
        ]
        return np.stack([np.asarray(one) for one in each])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _curves(template: Template, build: Build, whole: bool, at: dict[str, Array], params: PyTree, rows: PyTree, chosen: Array) -> Array:
    steps = chosen.shape[1]

    def one(params: PyTree, rows: PyTree, chosen: Array) -> Array:
        rule = optax.with_extra_args_support(build(at, steps))

        def step(carry: Any, chosen: Array) -> tuple[Any, None]:
            params, state = carry
            some = rows if whole else jax.tree.map(lambda x: x[chosen], rows)
            value, grads = jax.value_and_grad(template.loss)(params, some)
            updates, state = rule.update(grads, state, params, value=value)
            return (jax.tree.map(lambda x, u: x + u.astype(x.dtype), params, updates), state), None

        def look(carry: Any, chosen: Array) -> tuple[Any, Array]:
            carry, _ = jax.lax.scan(step, carry, chosen)
            return carry, template.loss(carry[0], rows)

        each = chosen[:: LOOK if whole else 1]
        return jax.lax.scan(look, (params, rule.init(params)), each.reshape(steps // LOOK, -1, BATCH))[1]

    return jax.vmap(one)(params, rows, chosen)


def fewer(curve: Curves, reference: Curves) -> float:
    """Return how many times fewer steps a rule takes to the lowest loss of the reference.

    Where it does not get there, the steps that the reference takes to the rule's lowest loss, over all steps: less than one.
    """
    curve, reference = (np.where(np.isfinite(one), one, np.inf) for one in (curve, reference))
    first = lambda one, loss: int(np.argmax(one <= loss)) + 1  # noqa: E731
    if curve.min() <= reference.min():
        return first(reference, reference.min()) / first(curve, reference.min())
    return (
        first(reference, curve.min()) / len(reference) if np.isfinite(curve.min()) and curve.min() < reference[0] else 1.0 / len(reference)
    )


class Tuning(NamedTuple):
    """The curves of every setting on the training tasks, `(tasks, settings, looks)`, the settings, and the processor seconds."""

    curves: Curves
    settings: dict[str, Float[ndarray, " settings"]]
    seconds: float

    def at(self, chosen: int) -> dict[str, float]:
        """Return one setting."""
        return {name: float(values[chosen]) for name, values in self.settings.items()}


def tried(name: str, training: Sequence[Tasks], number: int, tell: Callable[[str], None], reference: Curves | None = None) -> Tuning:
    """Run so many settings on the training tasks, chosen one after the other by Optuna from those that have gone well.

    **Arguments:** `reference`: the curves that `fewer` compares with; without them the geometric mean of the lowest losses is made small.

    ??? cite "Reference"
        Bergstra, Bardenet, Bengio, Kégl, *Algorithms for Hyper-Parameter Optimization*, NeurIPS 2011; Akiba et al., *Optuna*, KDD 2019.
    """
    need("optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=max(number // 4, 2)))
    ranges = METHODS[name].ranges
    began, settings, found = time.process_time(), {key: np.zeros(number) for key in ranges}, []
    for k in range(number):
        tell(f"{name}, setting {k + 1} of {number}")
        trial = study.ask()
        for key, ends in ranges.items():
            settings[key][k] = trial.suggest_float(key, *ends, log=True)
        one = {key: values[k : k + 1] for key, values in settings.items()}
        found.append(np.concatenate([tasks.curves(name, one)[0] for tasks in training]))
        least = np.where(np.isfinite(found[-1]), found[-1], np.inf).min(axis=1)
        loss = float(np.log(np.clip(least, 1e-30, 1e30)).mean())
        study.tell(trial, -loss if reference is None else _mean_of_fewer(found[-1], reference))
    return Tuning(np.stack(found, axis=1), settings, time.process_time() - began)


def _mean_of_fewer(own: Curves, reference: Curves) -> float:
    """Return the interquartile mean of `fewer` over tasks."""
    return float(trim_mean([fewer(curve, other) for curve, other in zip(own, reference, strict=True)], 0.25))


def lowest(tuning: Tuning, looks: int) -> int:
    """Return the setting whose lowest loss within some looks has the best mean rank over the tasks: how Adam's rate is chosen."""
    least = np.where(np.isfinite(tuning.curves), tuning.curves, np.inf)[:, :, :looks].min(axis=2)
    return int(np.argmin(np.argsort(np.argsort(least, axis=1), axis=1).mean(axis=0)))


def quickest(tuning: Tuning, reference: Curves) -> int:
    """Return the setting with the largest interquartile mean of `fewer` over the training tasks."""
    return int(np.argmax([_mean_of_fewer(own, reference) for own in tuning.curves.transpose(1, 0, 2)]))


def compare(
    methods: Sequence[str],
    known: Mapping[str, Sequence[Template]],
    seeds: int,
    steps: int,
    number: int,
    tell: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Tune each method on the training tasks, run it on the held-out ones, and return one record for each task and method.

    **Arguments:** `known`: templates, see `physopt.meta.families.networks.templates`. `seeds`: tasks of each. `number`: of settings tried.
    """
    names = [REFERENCE, *(name for name in methods if name != REFERENCE)]
    records, settings = [], {}
    training = [Tasks.of(template, 0, i, TUNED, steps) for i, template in enumerate(known["training"])]
    base = tried(REFERENCE, training, number, tell)
    best, half = lowest(base, steps // LOOK), lowest(base, steps // LOOK // 2)
    for name in names:
        if (trained := METHODS[name].trained) is not None:
            told = trained()
            settings[name] = {key: told[key] for key in ("rate", "power")}
            spent = {"meta_training_s": told["seconds"], "meta_training_steps": told["evaluations"]}
            records.append({"method": name, "settings": settings[name], **spent})
            continue
        tuning, chosen = base, best
        if name != REFERENCE:
            tuning = tried(name, training, number, tell, base.curves[:, best])
            chosen = quickest(tuning, base.curves[:, best])
        settings[name] = tuning.at(chosen)
        spent = {"meta_training_s": tuning.seconds, "meta_training_steps": len(tuning.curves) * number * steps}
        records.append({"method": name, "settings": settings[name], **spent})
    for circle, i, template in [(name, i, one) for name in CIRCLES for i, one in enumerate(known[name])]:
        tell(f"{circle}: {template.name}")
        tasks = Tasks.of(template, 1 + CIRCLES.index(circle), i, seeds, steps)
        found = {name: _timed(tasks, name, settings[name]) for name in names}
        halved = _timed(tasks, REFERENCE, base.at(half))[0]
        for name, (own, seconds) in found.items():
            common = {"family": template.name, "circle": circle, "method": name}
            records += [common | {"seed": k} | _judged(own[k], seconds, found[REFERENCE][0][k], halved[k]) for k in range(seeds)]
    _break_even(records, steps)
    return records


def _timed(tasks: Tasks, name: str, at: Mapping[str, float]) -> tuple[Curves, float]:
    """Return the curves, one for each task, and the processor seconds of one step of one task, compiling left out."""
    settings = {key: np.array([value]) for key, value in at.items()}
    tasks.curves(name, settings)
    began = time.process_time()
    found = tasks.curves(name, settings)[0]
    return found, (time.process_time() - began) / (len(found) * tasks.chosen.shape[1])


def _judged(own: Curves, seconds: float, reference: Curves, halved: Curves) -> dict[str, Any]:
    """Return what is recorded of one task; `halved` is the reference's curve, tuned for half as many steps."""
    reached, half = own <= reference.min(), len(own) // 2
    to = LOOK * (int(np.argmax(reached)) + 1) if reached.any() else None
    return {
        "steps_to_target": to,
        "seconds_to_target": None if to is None else to * seconds,
        "seconds_each": seconds,
        "final_loss": float(own[-1]),
        "lowest_loss": float(np.min(np.where(np.isfinite(own), own, np.inf))),
        "fewer": fewer(own, reference),
        "fewer_at_half": fewer(own[:half], halved[:half]),
    }


def _break_even(records: list[dict[str, Any]], steps: int) -> None:
    """Add after how many tasks the steps of tuning or training are paid back, where steps are saved at all."""
    for record in (one for one in records if "settings" in one):
        own = [one["fewer"] for one in records if one["method"] == record["method"] and "fewer" in one]
        saved = steps * (1.0 - 1.0 / float(trim_mean(own, 0.25)))
        record["break_even_tasks"] = record["meta_training_steps"] / saved if saved > 0.0 else None
