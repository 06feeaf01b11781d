"""Designs as files for other programs: ParaView's and printers'."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def write_vti(path: str | Path, density: Float[ndarray, "..."]) -> Path:
    """Write physical densities as cell data of a VTK image, and return its path; a plane is one element thick."""
    from pyevtk.hl import imageToVTK

    path = Path(path)
    if path.suffix != ".vti":
        raise ValueError(f"{path}: VTK images end in .vti. Name it {path.with_suffix('.vti').name}, say.")
    return Path(imageToVTK(str(path.with_suffix("")), cellData={"density": np.asfortranarray(_solid(density, 1))}))


def write_stl(path: str | Path, density: Float[ndarray, "..."], level: float = 0.5) -> None:
    """Write the closed surface where the density is `level` as binary STL, for elements of length 1.

    A plane becomes a tenth of its longer side thick.
    """
    import trimesh

    path = Path(path)
    if path.suffix.lower() != ".stl":
        raise ValueError(f"{path}: surfaces end in .stl. Name it {path.with_suffix('.stl').name}, say.")
    vertices, faces = surface(density, level)
    trimesh.Trimesh(vertices, faces, process=False).export(path)


def surface(density: Float[ndarray, "..."], level: float = 0.5) -> tuple[Float[ndarray, "vertex 3"], Int[ndarray, "face 3"]]:
    """Return the closed surface where the density is `level`, with outward normals, by marching cubes.

    **Raises:** `ValueError` where no density is above the level.
    """
    import skimage.measure

    solid = _solid(density, max(max(density.shape) // 10, 1))
    if not solid.max() > level:
        raise ValueError(f"No density is above {level}: there is no surface; the largest is {solid.max():.3f}.")
    vertices, faces, _, _ = skimage.measure.marching_cubes(np.pad(solid, 1), level, gradient_direction="ascent")
    return vertices - 0.5, faces


def _solid(density: Float[ndarray, "..."], thickness: int) -> Float[ndarray, "x y z"]:
    return density if density.ndim == 3 else np.repeat(density[:, :, None], thickness, axis=2)
