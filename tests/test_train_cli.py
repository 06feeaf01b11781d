"""`physopt train` from the command line."""

import json

import jax
import pytest

from physopt.cli import main
from physopt.core.weights import load_weights, read_provenance
from physopt.rules.learned import Span


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--seeds", "-1"], ["--resume"], ["--estimator", "magic"], ["--tasks", "many"]])
def test_bad_arguments_are_refused_in_one_line(arguments, capsys):
    assert main(["train", "quadratics", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["antithetic", "backprop"])
def test_trained_rules_need_at_most_half_the_steps(estimator, tmp_path):
    out, report = tmp_path / "span.safetensors", tmp_path / "report.json"
    command = ["train", "quadratics", "--seeds", "2", "--estimator", estimator, "--out", str(out), "--json", str(report)]
    recorded = [*command, "--record", str(tmp_path / "runs")]
    assert main(recorded) == 0
    first = report.read_text()
    assert main(recorded) == 4
    assert main([*recorded, "--resume"]) == 0
    records = json.loads(report.read_text())["records"]
    assert records == json.loads(first)["records"]
    medians = {(r["circle"], r["seed"], r["method"]): r["median_steps"] for r in records}
    for (circle, seed, method), steps in medians.items():
        if method == "trained":
            assert steps <= 0.5 * medians[circle, seed, "untrained"]
    load_weights(out, Span(key=jax.random.key(7)))
    assert read_provenance(out)["seed"] == 0
