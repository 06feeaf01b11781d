"""An estimator over a union of families: equal shares of the tasks for each member."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physopt.core.problem import AbstractFamily, AbstractProblem
from physopt.core.tree import tree_combine

from ..loss import AbstractLoss
from .estimator import AbstractEstimator, Estimate, Tasks


class Union(AbstractFamily):
    r"""Families that are all as likely, such as networks of several shapes; $\mu$ is the number of one, then its own task vector.

    **Arguments:**

    - `members`: all with task vectors of the same length.
    """

    members: tuple[AbstractFamily, ...]
    traceable: bool = eqx.field(static=True)

    def __init__(self, members: tuple[AbstractFamily, ...]):
        lengths = [jax.eval_shape(member.sample, jax.random.key(0)).shape for member in members]
        if len(set(lengths)) != 1:
            raise ValueError(f"A union needs families whose task vectors have the same length, and these have {lengths}.")
        self.members, self.traceable = members, all(member.traceable for member in members)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " mu"]:
        """Draw a member, and a task vector of it."""
        of_member, of_task = jax.random.split(key)
        which = jax.random.randint(of_member, (), 0, len(self.members))
        mus = jnp.stack([member.sample(of_task) for member in self.members])
        return jnp.concatenate([which[None].astype(mus.dtype), mus[which]])

    def shares(self, tasks: Tasks) -> list[Tasks]:
        """Return an equal number of tasks for each member, drawn from the keys of these; their vectors, of members at random, are not used.

        **Raises:** `ValueError` where the tasks cannot be shared equally.
        """
        number, rest = divmod(len(tasks.keys), len(self.members))
        if rest:
            raise ValueError(f"{len(self.members)} families cannot share {len(tasks.keys)} tasks; write a multiple of {len(self.members)}.")
        found = []
        for k, member in enumerate(self.members):
            keys = tasks.keys[k * number : (k + 1) * number]
            mus = jax.vmap(lambda one, member=member: member.sample(jax.random.fold_in(one, 0)))(keys)
            found.append(Tasks(mus, keys))
        return found

    def problem(self, mu: Float[Array, " mu"]) -> AbstractProblem:
        """Build the problem; its member must be known, as its arrays have another form than others'. Raises `TypeError` under a trace."""
        if isinstance(mu, jax.core.Tracer):
            raise TypeError("The members of a Union differ in form, so that no program runs all: estimate by Stratified(estimator).")
        return self.members[int(mu[0])].problem(mu[1:])


class Stratified(AbstractEstimator):
    """Estimate over a `Union` by the mean over its members, each by the same estimator on as many tasks, see `Union.shares`.

    **Arguments:**

    - `estimator`: of each member.
    """

    estimator: AbstractEstimator

    @property
    def num_steps(self) -> int:
        """Moves per run."""
        return self.estimator.num_steps

    def init(self, rule: PyTree, family: AbstractFamily, num_tasks: int) -> PyTree:
        """Return the states of all members. Raises `TypeError` for a family that is no `Union`."""
        members = _union(family).members
        return [self.estimator.init(rule, member, num_tasks // len(members)) for member in members]

    def __call__(
        self, meta_loss: AbstractLoss, rule: PyTree, family: AbstractFamily, tasks: Tasks, key: PRNGKeyArray, state: PyTree = None
    ) -> tuple[Estimate, PyTree]:
        """Return the mean of the members' estimates, and their states."""
        members, shares = _union(family).members, _union(family).shares(tasks)
        states = self.init(rule, family, len(tasks.keys)) if state is None else state
        found = [
            self.estimator(meta_loss, rule, member, own, of_member, before)
            for member, own, of_member, before in zip(members, shares, jax.random.split(key, len(members)), states, strict=True)
        ]
        estimates = [one for one, _ in found]
        grad = tree_combine([1.0 / len(members)] * len(members), [one.grad for one in estimates])
        error = jax.tree.map(lambda *each: jnp.sqrt(sum(e**2 for e in each)) / len(each), *(one.grad_std_error for one in estimates))
        loss, cost = (jnp.stack([getattr(one, name) for one in estimates]) for name in ("loss", "cost"))
        return Estimate(loss.mean(), grad, error, cost.sum()), [after for _, after in found]


def _union(family: AbstractFamily) -> Union:
    if not isinstance(family, Union):
        raise TypeError(f"Stratified estimates over a Union of families, and this is one {type(family).__name__}: leave Stratified out.")
    return family
