"""The design space from files: a picture, an array, or a solid model defines where material may be."""

import warnings
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from jaxtyping import Bool, Float
from msgspec import Meta
from numpy import ndarray

from physopt.core.extras import need

from .voxels import Placement, fitted, inside, read_surface

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}

Name = Annotated[str, Meta(min_length=1)]


class Space(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Files that define where material may be, and where it must be.

    - `mask`: a picture, dark where material may be and light where there is none, its top row at the largest y; or an array in .npy,
      `[x, y]` or `[x, y, z]` as the densities are, nonzero where material may be.
    - `stl`: instead, a closed surface in 3D, scaled evenly to fit into the box, its lower corner at the origin. Output is
      written in its units and at its position.
    - `solid`: like `mask`, but for solid elements; where the two disagree, the element is solid.
    """

    mask: Name | None = None
    stl: Name | None = None
    solid: Name | None = None

    def beside(self, file: Path) -> "Space":
        """Return the space with file names relative to the folder of a problem file."""
        names = {name: getattr(self, name) for name in self.__struct_fields__}
        return Space(**{name: None if value is None else str(file.parent / value) for name, value in names.items()})

    def place(self, shape: tuple[int, ...]) -> Placement:
        """Return the position and size of the grid: those of `stl`; else elements of length 1 from the origin."""
        return Placement() if self.stl is None else place_of(Path(self.stl), shape)

    def prescribed(self, shape: tuple[int, ...]) -> Float[ndarray, "..."]:
        """Return 0 in void, 1 in solid, and NaN where the design is free.

        **Raises:** `ValueError` for files of another form, and for a space without any material; `OSError` for files that cannot
        be opened.
        """
        if self.mask is None and self.stl is None and self.solid is None:
            raise ValueError('[space] names no file; write mask = "part.png", stl = "part.stl" or solid = "frame.png".')
        if self.mask is not None and self.stl is not None:
            raise ValueError(f"[space] has both mask = {self.mask} and stl = {self.stl}; write one of them.")
        prescribed = np.full(shape, np.nan)
        if self.mask is not None:
            prescribed[~read_mask(Path(self.mask), shape)] = 0.0
        if self.stl is not None:
            prescribed[~read_solid(Path(self.stl), shape)] = 0.0
        if self.solid is not None:
            prescribed[read_mask(Path(self.solid), shape)] = 1.0
        return prescribed


def place_of(file: Path, shape: tuple[int, ...]) -> Placement:
    """Return the position of the grid in the units of an STL file that is fitted into the box."""
    _check_file(file)
    return fitted(read_surface(file)[0], shape)


def read_mask(file: Path, shape: tuple[int, ...]) -> Bool[ndarray, "..."]:
    """Return for each element whether the picture is darker than 1/2 there, or the array nonzero; at least one must be."""
    ending = file.suffix.lower()
    if ending != ".npy" and ending not in PICTURES:
        advice = 'Surfaces belong to stl = "...".' if ending == ".stl" else "Save it as one of these."
        raise ValueError(f"{file}: masks end in .npy, {', '.join(PICTURES)}. {advice}")
    _check_file(file)
    mask = _array(file, shape) if ending == ".npy" else _picture(file, shape)
    if not mask.any():
        what = "nonzero" if ending == ".npy" else "darker than 1/2"
        raise ValueError(f"{file}: marks no element: none is {what}. Dark, or nonzero, is where material is.")
    return mask


def read_solid(file: Path, shape: tuple[int, ...]) -> Bool[ndarray, "..."]:
    """Return for each element whether its center lies inside the closed surface of an STL file that is fitted into the box."""
    if len(shape) != 3:
        raise ValueError(f"{file}: is a surface in 3D, but the shape is {list(shape)}. Write three numbers, or a mask instead.")
    _check_file(file)
    vertices, faces = read_surface(file)
    try:
        found = inside(fitted(vertices, shape).inverse(vertices), faces, shape)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not found.any():
        raise ValueError(f"{file}: no center of an element of {list(shape)} lies inside it, so thin it is; write a finer shape.")
    return found


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: there is no such file. Names in [space] start from the folder of the problem file.")


def _array(file: Path, shape: tuple[int, ...]) -> Bool[ndarray, "..."]:
    try:
        # Mapped, not loaded: this neither unpickles nor believes a header that promises more than the file holds.
        array = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, EOFError, OverflowError) as error:
        raise ValueError(f"{file}: is not an array of numbers ({error}). Write it with np.save(file, mask).") from None
    if array.shape != shape:
        raise ValueError(f"{file}: holds an array of shape {list(array.shape)}, but the shape of the problem is {list(shape)}.")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise ValueError(f"{file}: holds {array.dtype}, or numbers that are not finite. Write one of True and False, or 1 and 0.")
    return np.asarray(array) != 0


def _picture(file: Path, shape: tuple[int, ...]) -> Bool[ndarray, "x y"]:
    need("PIL")
    from PIL import Image

    if len(shape) != 2:
        raise ValueError(f"{file}: is flat, but the shape is {list(shape)}. Write a mask in .npy, or a surface in stl.")
    brightness = _brightness(file)
    (wide, high), (columns, rows) = shape, brightness.shape[::-1]
    if abs(rows * wide - columns * high) > max(columns, rows, wide, high):  # by more than a pixel, and more than an element
        raise ValueError(
            f"{file}: has {columns}x{rows} pixels, which the shape {list(shape)} would distort, as elements are square; "
            f"write shape = {[wide, max(round(wide * rows / columns), 1)]}, or cut the picture."
        )
    mean = np.asarray(Image.fromarray(brightness).resize((wide, high), Image.Resampling.BOX))
    return mean[::-1].T < 0.5


def _brightness(file: Path) -> Float[ndarray, "row column"]:
    """Return the brightness of a picture from 0 to 1, on white where it is transparent."""
    from PIL import Image, ImageOps

    with file.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            picture = ImageOps.exif_transpose(Image.open(stream, formats=sorted(set(PICTURES.values()))))
            if picture.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
                return np.asarray(picture, np.float32) / np.float32(65535)
            white = Image.new("RGBA", picture.size, "white")
            white.alpha_composite(picture.convert("RGBA"))
            return np.asarray(white.convert("L"), np.float32) / np.float32(255)
        except Image.UnidentifiedImageError:
            raise ValueError(f"{file}: is no picture in PNG, JPEG or BMP, whatever its name says.") from None
        except Exception as error:  # hostile bytes make decoders raise anything
            raise ValueError(f"{file}: cannot be read ({error}). Save it anew, as a PNG of 8 bits, say.") from None
