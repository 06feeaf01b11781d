"""The comparison of learned starts: what is charged, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from physopt.bench.learn_rules import Case, Compiled, Rule, settings, tuned
from physopt.cli import main
from physopt.cli.bench_learn import break_even
from physopt.meta.families import Bratu


def test_curvature_is_charged_by_its_pattern_and_only_where_it_was_needed():
    compiled = Compiled(Bratu(side=4))
    case = Case(compiled, np.array([1.0, 2.0, 5.0, 0.4, 0.6]))
    norm = float(np.linalg.norm(case.function(np.zeros(16))[1]))
    for rule in settings(compiled)["newton"]:
        oracle = case.oracle()
        rule.run(case, oracle, np.zeros(16), 1e-6 * norm)
        points = len(oracle.rows)
        accepted = np.count_nonzero(np.diff([value for _, value, _ in oracle.rows]) < 0.0)
        assert oracle.flattest.norm <= 1e-6 * norm
        assert oracle.calls == points + 5 * accepted  # one Hessian for each point that was left: none at the end, none at rejected ones
    colours = np.add.outer(np.arange(4), 2 * np.arange(4)).ravel() % 5
    seeds = np.stack([colours == k for k in range(5)], 1).astype(float)
    products = np.stack([np.asarray(compiled.product(jnp.zeros(16), jnp.asarray(v), case.mu)) for v in seeds.T], 1)
    exact = case.hessian(np.zeros(16))
    pattern = np.abs(exact) > 1e-12
    np.testing.assert_allclose(np.where(pattern, products[:, colours], 0.0), exact, atol=1e-12)


def test_tuning_takes_the_best():
    compiled = Compiled(Bratu(side=4))
    cases = [Case(compiled, np.array([1.0, 2.0, 5.0, 0.4, 0.6]))]

    def after(calls):
        def run(case, oracle, start, gtol):
            for _ in range(calls):
                oracle.probe(start)
            oracle.rows.append((oracle.calls, 0.0, 0.0))

        return run

    rules = {"slow": [Rule("slow", after(9)), Rule("slow", after(7))], "quick": [Rule("quick", after(8)), Rule("quick", after(3))]}
    found = tuned(rules, cases, [np.zeros(16)], [1e-6])
    assert [rule.name for rule in found] == ["quick", "slow"]
    assert [rule.calls(cases[0], np.zeros(16), 1e-6) for rule in found] == [3, 7]


def test_break_even_counts_the_training():
    def row(method, calls, recorded=0):
        told = {"family": "rod", "circle": "similar", "method": method, "task": 0, "recorded": recorded}
        return {**told, "calls_to": {"1e-6": calls}}

    records = [row("best-classical", 30.0), row("physopt", 5.0, 8), {"family": "rod", "recorded": 8, "seed": 0, "training_calls": 500.0}]
    assert break_even([r for r in records if "method" in r], records) == {8: (500.0, 20.0)}


@pytest.mark.parametrize(
    "wrong", [["nothing"], ["rod", "--recorded", "3"], ["rod", "--recorded", "a"], ["rod", "--seeds", "0"], ["rod", "--methods", "magic"]]
)
def test_bad_arguments_are_refused(wrong, capsys):
    assert main(["bench", "learn", *wrong]) == 2
    assert capsys.readouterr().err
