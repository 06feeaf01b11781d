"""Export designs to ParaView and to 3D printers."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from physopt.core.extras import need

from .surface import Surface, surface_of
from .voxels import Placement


def write_vti(path: str | Path, density: Float[ndarray, "..."], place: Placement = Placement()) -> Path:
    """Write physical densities as cell data of a VTK image, and return its path; a 2D design is one element thick."""
    need("pyevtk")
    from pyevtk.hl import imageToVTK

    path = Path(path)
    if path.suffix != ".vti":
        raise ValueError(f"{path}: VTK images end in .vti. Name it {path.with_suffix('.vti').name}, say.")
    solid = np.asfortranarray(density if density.ndim == 3 else density[:, :, None])
    return Path(imageToVTK(str(path.with_suffix("")), place.origin, (place.size,) * 3, cellData={"density": solid}))


def write_stl(
    path: str | Path, density: Float[ndarray, "..."] | Surface, level: float | None = None, place: Placement = Placement()
) -> None:
    """Write the closed surface where the density is `level`, by default where it keeps the volume, as binary STL.

    A 2D design becomes a tenth of its longer side thick. Elements have length 1 and begin at the origin, unless `place` says otherwise.

    **Raises:** `ValueError` for a design without a surface, and if single precision, which STL has, cannot resolve the elements;
    `MissingExtraError` without the extra `mesh`.
    """
    need("trimesh")
    import trimesh

    path = Path(path)
    if path.suffix.lower() != ".stl":
        raise ValueError(f"{path}: surfaces end in .stl. Name it {path.with_suffix('.stl').name}, say.")
    surface = density if isinstance(density, Surface) else surface_of(density, level)
    vertices = place.of(surface.vertices)
    if np.spacing(np.abs(vertices).max().astype(np.float32)) > 1e-3 * place.size:
        raise ValueError(
            f"{path}: elements of {place.size:.3g} at {place.origin} are too small for the single precision of STL; "
            "move the input nearer to 0."
        )
    trimesh.Trimesh(*_welded(vertices.astype(np.float32), surface.faces), process=False).export(path)


def _welded(vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]) -> tuple[ndarray, ndarray]:
    """Return the triangles that single precision leaves: where two corners have become one, the neighbors meet."""
    places, which = np.unique(vertices, axis=0, return_inverse=True)
    faces = which.ravel()[faces]
    flat = (faces == np.roll(faces, 1, axis=1)).any(axis=1)
    return places, faces[~flat]
