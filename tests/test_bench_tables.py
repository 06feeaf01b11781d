"""What the bench reports beyond single runs: ratios with their intervals, and the lowest known energies."""

import json

import numpy as np
import pytest

from physopt.cli import main
from physopt.cli.bench_tables import FAILED, cost, judge_lowest, median_ratio, print_ratios, print_summary, read_lowest
from physopt.plot.profiles import FARTHEST, profiles

HYDROGEN = "2\ncharge=0 spin=0 {}name=hydrogen\nH 0 0 0\nH 0 0 0.74\n"


def _record(case, method, builds, *, converged=True, energy=-1.0):
    judged = {"stable": None, "energy": energy if converged else None, "converged": converged}
    return {
        "case": case,
        "method": method,
        "nao": 2,
        "exact_builds": builds,
        "fock_equivalents": 2.0 * builds,
        "wall_s": 0.1 * builds,
        **judged,
    }


def test_a_failure_is_dearer_than_any_run():
    records = [_record("a", "pyscf", 0, converged=False), _record("b", "pyscf", 90)]
    assert cost(records, "exact_builds").tolist() == [FAILED, 90]


def test_the_interval_holds_the_ratio_and_pairs_the_cases():
    others, ours = np.array([10.0, 20, 30, 40, 50]), np.array([5.0, 10, 15, 20, 25])
    ratio, low, high = median_ratio(others, ours)
    assert ratio == low == high == 2.0, "every case has the ratio 2, so every resample of cases has it"
    ratio, low, high = median_ratio(others, ours[::-1])
    assert low < ratio < high
    assert (ratio, low, high) == median_ratio(others, ours[::-1]), "the same on every call"


def test_one_case_has_no_interval():
    ratio, low, high = median_ratio(np.array([12.0]), np.array([4.0]))
    assert ratio == 3.0
    assert np.isnan([low, high]).all()


def test_the_best_other_method_is_found(capsys):
    counts = {"pyscf": 12, "pyscf-newton": 30, "two-stage": 8, "physopt": 4}
    records = [_record(case, method, n) for method, n in counts.items() for case in "abc"]
    print_ratios(records, list(counts))
    out = capsys.readouterr().out
    assert "two-stage (best other)" in out
    assert "2.00 to 2.00" in out
    assert "3.00 to 3.00" in out
    assert "newton" not in out


def test_a_method_that_mostly_fails_says_so(capsys):
    records = [_record(case, "pyscf", 50, converged=False) for case in "ab"]
    print_summary(records, ["pyscf"])
    assert "fails" in capsys.readouterr().out


def test_lowest_is_within_a_microhartree_or_below():
    records = [
        _record(c, "pyscf", 9, energy=e) | {"xc": "hf", "basis": "6-31g"} for c, e in zip("abcd", (-1, -1.1, -1 + 9e-7, -0.9), strict=True)
    ]
    records.append(_record("a", "other", 9, converged=False) | {"xc": "hf", "basis": "6-31g"})
    records.append(_record("unknown", "pyscf", 9) | {"xc": "hf", "basis": "6-31g"})
    records.append(_record("a", "pyscf", 9) | {"xc": "pbe", "basis": "6-31g"})
    judge_lowest(records, {c: {"energy": -1.0, "xc": "HF", "basis": "6-31G"} for c in "abcd"})
    assert [r["lowest"] for r in records] == [True, True, True, False, False, None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a table"),
        ("case,energy\n", "is not a table"),
        ("name,value\na,-1\n", "is not a table"),
        ("case,energy\na,low\n", "line 2: energy 'low' is not a number"),
        ("case,energy\na,nan\n", "line 2: energy 'nan' is not a number"),
        ("case,energy\na\n", "line 2: energy 'None' is not a number"),
        ("case,energy\na,-1\na,-2\n", "line 3: a second energy for 'a'"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "lowest.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_lowest(file)


def test_a_case_brings_its_level_and_the_command_line_overrides_it(tmp_path):
    (tmp_path / "a.xyz").write_text(HYDROGEN.format("xc=lda,vwn basis=6-31g "))
    (tmp_path / "b.xyz").write_text(HYDROGEN.format(""))
    (tmp_path / "lowest.csv").write_text("case,energy,xc,basis,how\na,-1.2,hf,sto-3g,by hand\n")
    report = tmp_path / "out.json"
    bench = ["bench", "scf", str(tmp_path), "--methods", "pyscf", "--json", str(report)]
    assert main([*bench]) == 0
    first, second = json.loads(report.read_text())["records"]
    assert (first["xc"], first["basis"]) == ("lda,vwn", "6-31g")
    assert (second["xc"], second["basis"]) == ("hf", "def2-svp")
    assert main([*bench, "--xc", "hf", "--basis", "sto-3g", "--lowest", str(tmp_path / "lowest.csv")]) == 0
    first, second = json.loads(report.read_text())["records"]
    assert (first["xc"], first["basis"], first["lowest"]) == ("hf", "sto-3g", False)
    assert second["lowest"] is None


@pytest.mark.parametrize(("level", "word"), [("xc=nonsense ", "not a functional"), ("basis=nonsense ", "PySCF has none of that name")])
def test_an_unknown_level_is_one_line_that_names_the_file_before_the_work(tmp_path, capsys, level, word):
    (tmp_path / "a.xyz").write_text(HYDROGEN.format(""))
    (tmp_path / "z.xyz").write_text(HYDROGEN.format(level))
    assert main(["bench", "scf", str(tmp_path), "--methods", "pyscf"]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "z.xyz: " in err
    assert word in err
    assert out == ""


def _report(file, *records):
    level = {"xc": "hf", "basis": "sto-3g"}
    file.write_text(json.dumps({"records": [level | r for r in records]}))
    return str(file)


def test_reports_are_read_back_together(tmp_path, capsys):
    first = _report(tmp_path / "a.json", _record("h2", "pyscf", 8), _record("n2", "pyscf", 12, converged=False))
    second = _report(tmp_path / "b.json", _record("h2", "physopt", 4))
    assert main(["bench", "report", first, second, "--csv", str(tmp_path / "all.csv")]) == 0
    assert "12x" in capsys.readouterr().out
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0].startswith("case,xc,basis,nao,method,exact_builds")
    assert [line.split(",")[:6] for line in lines[1:]] == [
        ["h2", "hf", "sto-3g", "2", "pyscf", "8"],
        ["n2", "hf", "sto-3g", "2", "pyscf", "12"],
        ["h2", "hf", "sto-3g", "2", "physopt", "4"],
    ]


@pytest.mark.parametrize(
    ("text", "word"), [("[]", "no report"), ("{", "no report"), ('{"records": []}', "no records"), ('{"records": [{}]}', "no records")]
)
def test_what_is_no_report_is_refused(tmp_path, capsys, text, word):
    (tmp_path / "a.json").write_text(text)
    assert main(["bench", "report", str(tmp_path / "a.json")]) != 0
    assert word in capsys.readouterr().err


def test_a_ratio_is_of_the_cases_that_all_methods_have(tmp_path, capsys):
    first = _report(tmp_path / "a.json", *(_record(case, "pyscf", 12) for case in "abc"))
    second = _report(tmp_path / "b.json", *(_record(case, "physopt", n) for case, n in (("a", 4), ("b", 4), ("d", 100))))
    assert main(["bench", "report", first, second]) == 0
    assert "3.00 to 3.00" in capsys.readouterr().out


def test_one_run_in_two_reports_is_refused(tmp_path, capsys):
    file = _report(tmp_path / "a.json", _record("h2", "pyscf", 8))
    assert main(["bench", "report", file, file]) != 0
    assert "twice" in capsys.readouterr().err


def _topology(case, method, work):
    counts = {"5": 1.0, "2": 2.0, "1": work, "0.5": None, "0.1": None}
    values = {"best_known": 10.0, "final_compliance": 10.05, "volume": 0.5, "greyness": 0.1, "solves": 20.0, "wall_per_solve_s": 0.1}
    return {"case": case, "method": method, "solves_to": counts, **values, "converged": True}


def test_reports_of_topologies_go_together(tmp_path, capsys):
    first = _report(tmp_path / "a.json", _topology("a", "oc", 9.0), _topology("a", "physopt", 3.0))
    second = _report(tmp_path / "b.json", _topology("b", "oc", 8.0), _topology("b", "physopt", None))
    table, picture = tmp_path / "all.csv", tmp_path / "profile.png"
    assert main(["bench", "report", first, second, "--csv", str(table), "--plot", str(picture)]) == 0
    assert "8.5" in capsys.readouterr().out
    assert table.read_text().splitlines()[4].startswith("b,physopt,1,2,,,,10,10.05")
    assert picture.stat().st_size > 5000
    assert main(["bench", "report", first, first]) != 0
    assert "other cases" in capsys.readouterr().err


def test_profiles_are_shares_within_a_ratio_of_the_quickest():
    ratios, shares = profiles({"a": [2.0, 8.0, np.inf, np.inf], "b": [4.0, 4.0, 6.0, np.inf]})["a"]
    assert ratios.tolist() == [1.0, 1.0, 2.0, FARTHEST] and shares.tolist() == [0.25, 0.25, 0.5, 0.5]
