"""A scanner starts each geometry from what the earlier ones predict, and is never worse for it."""

import io

import numpy as np
import pytest
from instances import molecule, sampled
from pyscf import dft, gto, scf
from scipy.spatial.transform import Rotation

from physopt import accelerate
from physopt.bench.scf_methods import Meter
from physopt.core.tree import tree_norm
from physopt.scf.auxiliary import Auxiliary, Tabulated
from physopt.scf.frames import Body, Frame, overlap
from physopt.scf.problem import SCF
from physopt.scf.series import CAUTIONS, MEMORY, Series, nearest, weights

PEROXIDE = "O 0 0.73 -0.05; O 0 -0.73 -0.05; H {x:.8f} 0.9 {z:.8f}; H 0.85 -0.9 0.4"


def peroxide(angle, basis="6-31g", template=PEROXIDE, **settings):
    """Hydrogen peroxide with one hydrogen turned about the y axis by `angle` degrees."""
    turn = np.deg2rad(angle)
    return molecule(template.format(x=0.94 * np.sin(turn), z=0.94 * np.cos(turn)), basis=basis, **settings)


METHODS = {
    "rhf": lambda mol: scf.RHF(mol),
    "uhf": lambda mol: scf.UHF(mol),
    "rks": lambda mol: dft.RKS(mol, xc="b3lyp").set(grids=dft.gen_grid.Grids(mol).set(level=0)),
    "uks": lambda mol: dft.UKS(mol, xc="pbe").set(grids=dft.gen_grid.Grids(mol).set(level=0)),
}


def counted(scanner, mol, **settings):
    meter = Meter()
    with meter.watching(scanner):
        energy = scanner(mol, **settings)
    return meter.builds, energy


def solved(angle):
    mf = accelerate(scf.RHF(peroxide(angle))).run()
    return mf.solution.evaluation.model


def fresh_start(mf):
    mf.build()
    return SCF.of(mf)


@pytest.mark.parametrize("name", sampled(METHODS, ("rhf",)))
def test_a_scan_costs_two_builds_a_step_and_ends_where_fresh_runs_end(name):
    radical: dict = {"template": PEROXIDE.replace("O 0 -0.73", "N 0 -0.73"), "spin": 1} if name.startswith("u") else {}
    angles = 90.0 + 4.0 * np.arange(5)
    if name.endswith("ks"):
        radical["basis"] = "sto-3g"
    scanner = METHODS[name](peroxide(angles[0], **radical))
    scanner = accelerate(scanner).as_scanner()
    builds = []
    for angle in angles:
        used, energy = counted(scanner, peroxide(angle, **radical))
        builds.append(used)
        fresh = METHODS[name](peroxide(angle, **radical)).run(conv_tol=1e-11)
        assert scanner.converged
        assert energy == pytest.approx(fresh.e_tot, abs=1e-8)
    assert np.median(builds[3:]) <= 2
    assert builds[0] > 1


def test_a_solved_geometry_costs_one_build_also_after_others():
    scanner = accelerate(scf.RHF(peroxide(90.0))).as_scanner()
    energies = [scanner(peroxide(angle)) for angle in (90.0, 100.0, 110.0)]
    used, again = counted(scanner, peroxide(90.0))
    assert used == 1
    assert again == pytest.approx(energies[0], abs=1e-8)


def test_the_first_geometry_may_be_the_one_already_solved():
    mf = accelerate(scf.RHF(peroxide(90.0))).run()
    assert counted(mf.as_scanner(), peroxide(90.0))[0] == 1


def test_the_start_gets_better_with_every_frame():
    series, oracle = Series(), fresh_start(scf.RHF(peroxide(106.0)))
    assert series.predict(oracle.oracle, 1e-6) is None
    norms = []
    for angle in (90.0, 94.0, 98.0, 102.0):
        series.remember(solved(angle))
        norms.append(float(tree_norm(oracle.evaluate(series.predict(oracle.oracle, 1e-6).orbitals).grad)))
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.05 * norms[0]


def test_the_prediction_does_not_depend_on_the_gauge():
    # The oracle's orthonormal basis and the order of the orbitals in it are arbitrary.
    other = solved(94.0)
    rng = np.random.default_rng(0)
    starts = []
    for turned in (False, True):
        series = Series()
        for model in (solved(90.0), other):
            series.remember(model)
        problem = fresh_start(scf.RHF(peroxide(98.0)))
        if turned:
            rotation = np.linalg.qr(rng.normal(size=problem.oracle.basis.shape))[0]
            problem.oracle.basis = problem.oracle.basis @ rotation
            problem.oracle.inverse = problem.oracle.basis.T @ problem.oracle.overlap
        starts.append(problem.oracle.dm(series.predict(problem.oracle, 1e-8).orbitals.coeff))
    np.testing.assert_allclose(starts[1], starts[0], atol=1e-7)


def test_the_weights_sum_to_one_and_reproduce_what_is_affine():
    series = Series()
    frames = [series.remember(solved(angle)) for angle in (90.0, 95.0, 103.0)]
    wanted = np.array([0.2, 1.5, -0.7])
    core = sum(w * f.core for w, f in zip(wanted, frames, strict=True))
    near = nearest(frames, core)
    found = dict(zip([id(f) for f in near], weights(near, core, 1e-9), strict=True))
    np.testing.assert_allclose([found[id(f)] for f in frames], wanted, atol=1e-6)
    for caution in (0.0, 1e-3, 1e3):
        assert weights(near, core, caution).sum() == pytest.approx(1.0)
        assert np.isfinite(weights([*near, near[0]], core, caution)).all()


def test_caution_trusts_near_frames_only_and_a_known_geometry_completely():
    series = Series()
    frames = [series.remember(solved(angle)) for angle in (90.0, 91.0, 92.0)]
    core = 3.0 * frames[2].core - 2.0 * frames[0].core
    bold, cautious = (np.abs(weights(nearest(frames, core), core, caution)).sum() for caution in (1e-6, 1e3))
    assert bold > 4.0
    assert cautious < 0.5 * bold
    for caution in CAUTIONS:
        np.testing.assert_allclose(weights(nearest(frames, frames[1].core), frames[1].core, caution), [1.0, 0.0, 0.0], atol=1e-6)


def test_the_memory_is_bounded():
    series, model = Series(), solved(90.0)
    for _ in range(MEMORY + 3):
        series.remember(model)
    assert len(series) == MEMORY


@pytest.mark.parametrize(
    "change",
    [
        lambda s: peroxide(95.0, charge=2),
        pytest.param(lambda s: peroxide(95.0, basis="sto-3g"), marks=pytest.mark.slow),
        lambda s: molecule("O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59", basis="6-31g"),
    ],
    ids=["charge", "basis", "atoms"],
)
def test_another_molecule_starts_as_usual(change):
    scanner = accelerate(scf.RHF(peroxide(90.0))).as_scanner()
    scanner(peroxide(90.0))
    other = change(scanner)
    used, energy = counted(scanner, other)
    assert (used, energy) == counted(accelerate(scf.RHF(other)).as_scanner(), other)
    assert len(scanner.series) == 1


def rotated(mol, seed=0):
    return mol.set_geom_(Rotation.random(random_state=seed).apply(mol.atom_coords()) + 1.0, unit="Bohr", inplace=False)


def test_the_bodys_axes_turn_with_the_molecule():
    first, second = (SCF(scf.RHF(turn(peroxide(90.0, "cc-pvtz")).build())).oracle for turn in (lambda mol: mol, rotated))
    body = Body(first)
    np.testing.assert_allclose(Body(second, [np.zeros((4, 3)) + 9.0, body.coords]).core, body.core, atol=1e-9)


def test_a_frame_does_not_see_how_the_molecule_is_turned():
    frames = []
    for mol in (peroxide(90.0), rotated(peroxide(90.0))):
        mf = accelerate(scf.RHF(mol)).run(conv_tol=1e-12)
        model = mf.solution.evaluation.model
        frames.append(Frame.of(model, Body(model.oracle, [f.coords for f in frames])))
    first, second = frames
    np.testing.assert_allclose(second.core, first.core, atol=1e-10)
    np.testing.assert_allclose(second.density, first.density, atol=1e-5)
    np.testing.assert_allclose(second.potential, first.potential, atol=1e-5)
    assert overlap(first.occupied, second.occupied) == pytest.approx(1.0, abs=1e-8)


def test_a_turned_molecule_is_known():
    scanner = accelerate(scf.RHF(peroxide(90.0))).as_scanner()
    energy = scanner(peroxide(90.0))
    used, again = counted(scanner, rotated(peroxide(90.0)))
    assert used == 1
    assert again == pytest.approx(energy, abs=1e-8)


def test_a_jump_starts_as_usual_and_says_so():
    scanner = accelerate(scf.RHF(peroxide(90.0))).as_scanner()
    scanner(peroxide(90.0))
    swapped = peroxide(90.0)  # the first hydrogen moves to the other side of the molecule
    coords = swapped.atom_coords()
    coords[0], coords[3] = coords[3].copy(), coords[0].copy()
    swapped.set_geom_(coords, unit="Bohr")
    scanner.verbose, scanner.stdout = 4, io.StringIO()
    swapped.verbose, swapped.stdout = 4, scanner.stdout
    assert scanner(swapped) == pytest.approx(scf.RHF(swapped).set(verbose=0).kernel(), abs=1e-8)
    assert "starting afresh" in scanner.stdout.getvalue()


def ethylene(angle):
    """Ethylene twisted about its axis by `angle` degrees."""
    y, z = 0.924 * np.cos(np.deg2rad(angle)), 0.924 * np.sin(np.deg2rad(angle))
    ends = f"H {z} {y} -1.234; H {-z} {-y} -1.234"
    return molecule(f"C 0 0 0.67; C 0 0 -0.67; H 0 0.924 1.234; H 0 -0.924 1.234; {ends}", basis="6-31g")


@pytest.mark.slow
def test_a_crossing_of_states_is_seen():
    # The highest occupied and the lowest empty orbital change places at 90 degrees; both states stay minima.
    scanner = accelerate(scf.RHF(ethylene(70.0))).as_scanner()
    for angle in (70.0, 80.0, 90.0):
        scanner(ethylene(angle))
    mol = ethylene(100.0)
    scanner.verbose, scanner.stdout = 3, io.StringIO()
    mol.verbose, mol.stdout = 3, scanner.stdout
    energy = scanner(mol)
    assert "hartree lower: the series goes on from there" in scanner.stdout.getvalue()
    assert scanner.energy_tot(scanner.make_rdm1()) == pytest.approx(energy, abs=1e-10)
    for angle in (100.0, 110.0, 120.0):
        assert scanner(ethylene(angle)) == pytest.approx(scf.RHF(ethylene(angle)).kernel(), abs=1e-8)


def test_a_fresh_run_that_ends_no_lower_changes_nothing(monkeypatch):
    scanner = accelerate(scf.RHF(peroxide(90.0))).as_scanner()
    scanner(peroxide(90.0))
    monkeypatch.setattr(type(scanner), "_is_doubtful", lambda self, prediction: True)
    mol = peroxide(92.0)
    scanner.verbose, scanner.stdout = 3, io.StringIO()
    mol.verbose, mol.stdout = 3, scanner.stdout
    energy = scanner(mol)
    assert "the series stays where it is" in scanner.stdout.getvalue()
    assert energy == pytest.approx(scf.RHF(peroxide(92.0)).kernel(), abs=1e-8)
    assert scanner.energy_tot(scanner.make_rdm1()) == pytest.approx(energy, abs=1e-10)
    assert len(scanner.series) == 2


def test_coordinates_an_own_density_and_the_way_back():
    scanner = accelerate(scf.RHF(peroxide(90.0))).as_scanner()
    energy = scanner(peroxide(90.0).atom_coords(unit="Ang"))
    assert scanner.as_scanner() is scanner
    guess = scanner.get_init_guess()
    assert counted(scanner, peroxide(90.0), dm0=guess)[0] > 1
    plain = scanner.undo_accelerate()
    assert type(plain) is scf.hf.RHF
    assert plain.e_tot == pytest.approx(energy, abs=1e-8)
    assert plain.kernel() == pytest.approx(energy, abs=1e-8)


def test_forces_come_from_the_same_scanner():
    scanner = accelerate(scf.RHF(peroxide(90.0))).nuc_grad_method().as_scanner()
    for angle in (90.0, 92.0, 94.0):
        _, forces = scanner(peroxide(angle))
    assert len(scanner.base.series) == 3
    assert scanner.base.cycles <= 3
    np.testing.assert_allclose(forces, scf.RHF(peroxide(94.0)).run(conv_tol=1e-11).nuc_grad_method().kernel(), atol=5e-5)


def test_dependent_functions_do_not_matter():
    pair = lambda d: gto.M(atom=f"He 0 0 0; He 0 0 {d}", basis="6-31++g", verbose=0)  # noqa: E731
    doubled = lambda d: gto.M(atom=f"He 0 0 0; He 0 0 {d}", basis={"He": [[0, [1.0, 1.0]], [0, [1.0000001, 1.0]]]}, verbose=0)  # noqa: E731
    assert pair(1.5).nao == 4
    scanner = accelerate(scf.RHF(doubled(1.5))).as_scanner()
    for distance in (1.5, 1.55, 1.6):
        assert scanner(doubled(distance)) == pytest.approx(scf.RHF(doubled(distance)).kernel(), abs=1e-7)


def test_a_tabulated_fitting_basis_is_for_the_elements_it_knows():
    table = Tabulated()
    assert len(table.charge_shells("C")) > len(Auxiliary().exchange_shells("C"))
    assert max(angular for angular, _ in table.charge_shells("O")) == 3
    assert table.charge_shells("Cm") == Auxiliary().charge_shells("Cm")
