"""accelerate(mf) is a drop-in: everything PySCF's users rely on keeps working."""

import io

import numpy as np
import pytest
from instances import HYDROXYL, WATER, molecule
from pyscf import dft, lib, scf

import physopt
from physopt import accelerate
from physopt.scf.meter import Meter
from physopt.scf.method.diis import ResponseDIIS


def builds_of(mf):
    meter = Meter()
    meter.watch(mf).kernel()
    return meter.builds


def test_it_needs_fewer_builds_and_agrees():
    plain, fast = scf.RHF(molecule(WATER)), accelerate(scf.RHF(molecule(WATER)))
    assert builds_of(fast) <= 5 < 9 <= builds_of(plain)
    assert fast.converged
    assert fast.e_tot == pytest.approx(plain.e_tot, abs=1e-9)
    np.testing.assert_allclose(fast.mo_energy, plain.mo_energy, atol=2e-5)
    np.testing.assert_allclose(fast.dip_moment(verbose=0), plain.dip_moment(verbose=0), atol=1e-4)
    # Energy, density and orbitals belong together.
    assert fast.energy_tot(fast.make_rdm1()) == pytest.approx(fast.e_tot, abs=1e-10)


def test_the_original_is_left_alone_and_comes_back():
    mf = scf.UHF(molecule(HYDROXYL, spin=1))
    before = dict(vars(mf))
    fast = accelerate(mf)
    assert isinstance(fast, scf.uhf.UHF)
    assert type(fast).__name__ == "AcceleratedUHF"
    fast.run()
    assert vars(mf) == before
    plain = fast.undo_accelerate()
    assert type(plain) is scf.uhf.UHF
    assert plain.e_tot == fast.e_tot
    assert not {"rule", "record", "solution"} & set(vars(plain))
    assert type(accelerate(fast)) is type(fast)


@pytest.mark.parametrize(
    "dress",
    [
        lambda mf: accelerate(mf.density_fit()),
        lambda mf: accelerate(mf).density_fit(),
        lambda mf: accelerate(mf.PCM()),
        lambda mf: accelerate(mf).x2c(),
    ],
    ids=["of-df", "then-df", "of-pcm", "then-x2c"],
)
def test_it_combines_with_pyscfs_other_dresses(dress):
    fast = dress(scf.RHF(molecule(WATER)))
    plain = fast.undo_accelerate()
    fast.kernel()
    plain.mo_coeff = plain.mo_occ = None
    plain.kernel()
    assert fast.converged
    assert fast.e_tot == pytest.approx(plain.e_tot, abs=2e-9)
    assert "Accelerated" in type(fast).__name__


def test_gradients_stability_and_newton():
    plain, fast = scf.RHF(molecule(WATER)).run(conv_tol=1e-11), accelerate(scf.RHF(molecule(WATER))).run(conv_tol=1e-11)
    np.testing.assert_allclose(fast.nuc_grad_method().kernel(), plain.nuc_grad_method().kernel(), atol=1e-5)
    assert fast.stability(return_status=True)[2]
    assert fast.newton().run().e_tot == pytest.approx(plain.e_tot, abs=1e-9)


def test_the_scanner_starts_from_the_last_frame():
    scanner = accelerate(scf.RHF(molecule(WATER))).as_scanner()
    meter = Meter()
    meter.watch(scanner)
    first = scanner(molecule(WATER))
    used = meter.builds
    moved = molecule(WATER.replace("0.757", "0.767"))
    second = scanner(moved)
    assert meter.builds - used <= used
    assert first == pytest.approx(scf.RHF(molecule(WATER)).kernel(), abs=1e-8)
    assert second == pytest.approx(scf.RHF(moved).kernel(), abs=1e-8)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_geometry_optimizer_does_not_notice():
    from pyscf.geomopt.berny_solver import optimize

    plain = optimize(scf.RHF(molecule(WATER, basis="sto-3g")), maxsteps=12)
    fast = optimize(accelerate(scf.RHF(molecule(WATER, basis="sto-3g"))), maxsteps=12)
    np.testing.assert_allclose(fast.atom_coords(), plain.atom_coords(), atol=1e-3)


def test_the_callback_sees_pyscfs_names():
    wanted = {
        "mf", "mol", "cycle", "e_tot", "last_hf_e", "norm_gorb", "norm_ddm", "mo_energy", "mo_coeff", "mo_occ", "dm", "dm_last",
        "fock", "vhf", "h1e", "s1e", "conv_tol", "conv_tol_grad", "scf_conv",
    }  # fmt: skip
    for make in (lambda: scf.RHF(molecule(WATER)), lambda: scf.UHF(molecule(HYDROXYL, spin=1))):
        seen, theirs = [], []
        fast = accelerate(make())
        fast.callback = lambda envs, seen=seen: seen.append(dict(envs))
        fast.kernel()
        plain = make()
        plain.callback = lambda envs, theirs=theirs: theirs.append(dict(envs))
        plain.kernel()
        assert len(seen) == fast.cycles
        assert [e["cycle"] for e in seen] == list(range(fast.cycles))
        assert [e["scf_conv"] for e in seen] == [False] * (fast.cycles - 1) + [True]
        assert wanted <= set(seen[-1]) & (set(theirs[-1]) | {"scf_conv"})
        for name in ("mo_coeff", "mo_occ", "dm", "fock", "mo_energy"):
            assert np.shape(seen[-1][name]) == np.shape(theirs[-1][name]), name
        grad = fast.get_grad(seen[-1]["mo_coeff"], seen[-1]["mo_occ"], seen[-1]["fock"])
        assert seen[-1]["norm_gorb"] == pytest.approx(np.linalg.norm(grad), abs=1e-12)


def test_a_restricted_density_starts_an_unrestricted_run():
    closed = scf.RHF(molecule(WATER)).run()
    fast = accelerate(scf.UHF(molecule(WATER)))
    assert fast.kernel(closed.make_rdm1()) == pytest.approx(closed.e_tot, abs=1e-9)
    assert fast.cycles <= 2


def test_tolerances_and_budget_are_kept():
    tight = accelerate(scf.RHF(molecule(WATER))).set(conv_tol=1e-12, conv_tol_grad=1e-7).run()
    assert tight.converged
    assert np.linalg.norm(tight.get_grad(tight.mo_coeff, tight.mo_occ)) < 1e-7
    short = accelerate(scf.RHF(molecule(WATER))).set(max_cycle=1).run()
    assert not short.converged
    assert short.cycles == 1
    assert short.solution.reason == "budget"
    none = accelerate(scf.RHF(molecule(WATER))).set(max_cycle=0).run()
    assert not none.converged
    assert none.e_tot == pytest.approx(scf.RHF(molecule(WATER)).set(max_cycle=0).run().e_tot, abs=1e-10)


@pytest.mark.parametrize(
    "make", [lambda: scf.RHF(molecule(WATER)), lambda: scf.UHF(molecule("N 0 0 0; O 0 0 1.15", spin=1))], ids=["rhf", "uhf"]
)
def test_tight_tolerances_stay_cheap(make):
    fast, plain = accelerate(make()), make()
    for mf in (fast, plain):
        mf.set(conv_tol=1e-12, conv_tol_grad=1e-8).run()
    assert fast.converged
    assert fast.cycles <= 0.6 * plain.cycles
    assert fast.e_tot == pytest.approx(plain.e_tot, abs=1e-10)


@pytest.mark.parametrize("shift", [pytest.param(0.2, marks=pytest.mark.slow), (0.1, 0.3)])
def test_level_shifts_change_the_path_only(shift):
    make = lambda: scf.UHF(molecule(HYDROXYL, spin=1))  # noqa: E731
    fast = accelerate(make()).set(level_shift=shift).run()
    assert fast.converged
    assert fast.cycles > accelerate(make()).run().cycles
    assert fast.e_tot == pytest.approx(make().run().e_tot, abs=1e-8)


def test_settings_without_a_meaning_are_named():
    fast = accelerate(scf.RHF(molecule(WATER))).set(diis=False, damp=0.5)
    fast.verbose, fast.stdout = 3, io.StringIO()
    fast.kernel()
    assert all(f"{name} is a setting of PySCF's own kernel" in fast.stdout.getvalue() for name in ("diis", "damp"))
    with pytest.raises(ValueError, match="dm0 has shape"):
        fast.kernel(np.zeros((2, 13, 13)))


def test_a_broken_integral_code_is_survived_or_named():
    for broken in ({2}, set(range(2, 60))):
        fast = accelerate(scf.RHF(molecule(WATER)))
        calls, build = [], fast.get_veff

        def get_veff(*args, calls=calls, build=build, broken=broken):
            calls.append(None)
            return build(*args) * (np.nan if len(calls) in broken else 1.0)

        fast.get_veff = get_veff
        fast.kernel()
        assert fast.converged == (len(broken) == 1)
        assert fast.solution.reason == ("converged" if len(broken) == 1 else "non-finite")


def test_the_users_own_convergence_test_counts():
    fast = accelerate(scf.RHF(molecule(WATER)))
    fast.check_convergence = lambda envs: envs["norm_gorb"] < 1e-2
    fast.kernel()
    assert fast.converged
    assert 1e-5 < np.linalg.norm(fast.get_grad(fast.mo_coeff, fast.mo_occ)) < 1e-2


def test_the_checkpoint_file_is_pyscfs(tmp_path):
    fast = accelerate(scf.RHF(molecule(WATER)))
    fast.chkfile = str(tmp_path / "water.chk")
    fast.kernel()
    stored = lib.chkfile.load(fast.chkfile, "scf")
    assert stored["e_tot"] == pytest.approx(fast.e_tot)
    again = accelerate(scf.RHF(molecule(WATER)))
    again.chkfile, again.init_guess = fast.chkfile, "chkfile"
    assert builds_of(again) <= 3


@pytest.mark.slow
def test_each_run_of_a_scanner_is_recorded(tmp_path):
    from physopt.core.trajectory import load

    scanner = accelerate(scf.RHF(molecule(WATER)), record=tmp_path / "run").as_scanner()
    energies = [scanner(molecule(WATER.replace("0.757", x))) for x in ("0.757", "0.760", "0.763")]
    folders = [tmp_path / name for name in ("run", "run-2", "run-3")]
    assert [load(f).columns["value"][-1] for f in folders] == energies


def test_a_run_is_recorded(tmp_path):
    from physopt.core.trajectory import load

    fast = accelerate(scf.RHF(molecule(WATER)), record=tmp_path / "run").run()
    run = load(tmp_path / "run")
    assert run.columns["value"][-1] == fast.e_tot
    assert run.units["value"] == "hartree"
    with pytest.raises(FileExistsError):
        accelerate(scf.RHF(molecule(WATER)), record=tmp_path / "run").kernel()


@pytest.mark.parametrize("name", ["RHF", "UHF"])
def test_the_diis_class_serves_pyscfs_own_kernel(name):
    plain, hooked = getattr(scf, name)(molecule(WATER)), getattr(scf, name)(molecule(WATER))
    hooked.DIIS = ResponseDIIS
    assert builds_of(hooked) < builds_of(plain)
    assert hooked.e_tot == pytest.approx(plain.e_tot, abs=1e-9)


def test_the_diis_class_keeps_symmetry_and_smearing():
    symmetric = scf.RHF(molecule(WATER, symmetry=True))
    symmetric.DIIS = ResponseDIIS
    assert symmetric.kernel() == pytest.approx(scf.RHF(molecule(WATER)).kernel(), abs=1e-8)
    smeared, reference = (scf.addons.smearing_(scf.RHF(molecule(WATER)), sigma=0.05) for _ in range(2))
    smeared.DIIS = ResponseDIIS
    assert smeared.kernel() == pytest.approx(reference.kernel(), abs=1e-8)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: scf.ROHF(molecule(HYDROXYL, spin=-1)), "spin to 1"),
        (lambda: scf.ROHF(molecule(HYDROXYL, spin=1, symmetry=True)), "without physopt"),
        (lambda: scf.hf.RHF(molecule("O 0 0 0; O 0 0 1.2", spin=2)), "spin=2"),
        (lambda: scf.RHF(molecule(WATER)).set(_eigh=lambda h, s, overwrite=False, x=None: scf.hf.eig(h, s)), "ResponseDIIS"),
        (lambda: scf.GHF(molecule(WATER)), "UHF"),
        (lambda: scf.RHF(molecule(WATER, symmetry=True)), "ResponseDIIS"),
        (lambda: scf.addons.smearing_(scf.RHF(molecule(WATER)), sigma=0.01), "ResponseDIIS"),
        (lambda: scf.addons.frac_occ_(scf.RHF(molecule(WATER))), "ResponseDIIS"),
        (lambda: scf.RHF(molecule(WATER)).newton(), "undo_newton"),
        (lambda: molecule(WATER), "RHF"),
        (lambda: "water.xyz", "RHF"),
    ],
    ids=["beta-rohf", "symmetric-rohf", "open-rhf", "own-eig", "ghf", "symmetry", "smearing", "fractional", "newton", "molecule", "text"],
)
def test_what_it_cannot_do_it_says(make, advice):
    with pytest.raises(TypeError, match=advice):
        accelerate(make())


def test_a_rule_of_ones_own():
    from physopt.rules.lbfgs import LBFGS

    fast = accelerate(dft.RKS(molecule(WATER, basis="sto-3g"), xc="b3lyp"), rule=LBFGS()).run()
    assert fast.converged
    assert isinstance(fast.rule, LBFGS)
    assert physopt.accelerate is accelerate


def test_a_kernel_that_does_not_fit_is_left_out_and_named():
    mol = molecule(WATER)
    mf = accelerate(scf.RHF(mol))
    mf.verbose, mf.stdout, mf.max_memory = 3, io.StringIO(), 0
    mf.kernel()
    assert "The response model needs" in mf.stdout.getvalue() and "Raise mf.max_memory" in mf.stdout.getvalue()
    assert mf.converged and mf.e_tot == pytest.approx(scf.RHF(mol).kernel(), abs=1e-8)
