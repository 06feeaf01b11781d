"""Which elements lie inside a closed surface: volumes, cavities, and centers that a corner or an edge passes through."""

import numpy as np
import pytest
import trimesh

from physopt.topopt.space import Space
from physopt.topopt.voxels import inside


def bracket():
    """Return an L of 40 x 30 x 10 with a volume of 8000."""
    outline = [[0, 0], [40, 0], [40, 10], [20, 10], [20, 30], [0, 30]]
    upper = np.array([[x, y, z] for z in (0, 10) for x, y in outline], float)
    caps = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]
    sides = [f for a in range(6) for b in [(a + 1) % 6] for f in ([a, b, b + 6], [a, b + 6, a + 6])]
    faces = [*(face[::-1] for face in caps), *([v + 6 for v in face] for face in caps), *sides]
    return trimesh.Trimesh(upper, faces, process=False)


MODELS = {
    "bracket": (bracket, (40, 32, 16)),
    "turned": (lambda: bracket().apply_transform(trimesh.transformations.rotation_matrix(0.3, [1, 2, 3])), (48, 48, 48)),
    "cylinder": (lambda: trimesh.creation.cylinder(3.0, 20.0), (24, 24, 80)),
    "ball": (lambda: trimesh.creation.icosphere(4), (40, 40, 40)),
    "torus": (lambda: trimesh.creation.torus(3.0, 1.0), (60, 64, 64)),
}


@pytest.mark.parametrize("model", MODELS)
def test_solid_models_keep_their_volume(tmp_path, model):
    make, shape = MODELS[model]
    mesh = make().apply_translation([7.0, -3.0, 1.0])
    mesh.export(tmp_path / "part.stl")
    space = np.isnan(Space(stl=str(tmp_path / "part.stl")).prescribed(shape))
    scale = np.min(np.array(shape) / mesh.extents)
    assert space.sum() == pytest.approx(mesh.volume * scale**3, rel=0.02)
    for axis in range(3):  # from the origin on, as far as it goes
        along = np.flatnonzero(space.any(axis=tuple({0, 1, 2} - {axis})))
        assert along[0] <= 1 and along[-1] + 1 == pytest.approx(scale * mesh.extents[axis], abs=2.0)


def test_models_of_whole_elements_are_exact(tmp_path):
    bracket().export(tmp_path / "part.stl", file_type="stl_ascii")
    space = np.isnan(Space(stl=str(tmp_path / "part.stl")).prescribed((40, 30, 12)))
    assert space.sum() == 8000 and space[:20, :30, :10].all() and space[20:, :10, :10].all()


def test_shells_unite_and_inverted_ones_are_cavities():
    outer, inner = trimesh.creation.box((8, 8, 8)), trimesh.creation.box((4, 4, 4))
    beside = inner.copy().apply_translation((4, 4, 4))
    hollow = inner.copy()
    hollow.invert()
    for other, count in ((inner, 8**3), (beside, 8**3 + 4**3 - 2**3), (hollow, 8**3 - 4**3)):
        both = trimesh.util.concatenate([outer, other])
        assert inside(both.vertices + 4.0, both.faces, (10, 10, 10)).sum() == count


@pytest.mark.parametrize("seed", range(20))
def test_corners_and_edges_on_centers_leak_nothing(seed):
    hull = trimesh.convex.convex_hull(np.random.default_rng(seed).integers(0, 9, (12, 3)) / 2.0)
    centers = np.indices((4, 4, 4)).reshape(3, -1).T + 0.5
    outward = np.einsum("pfk,fk->pf", centers[:, None] - hull.triangles_center, hull.face_normals).max(axis=1).reshape(4, 4, 4)
    found = inside(hull.vertices, hull.faces, (4, 4, 4))
    assert found[outward < -1e-9].all() and not found[outward > 1e-9].any()
