"""A reader of VTK images by the documentation of VTK's XML formats, which shares no code with what writes them."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import numpy as np

BYTES = {"LittleEndian": "<", "BigEndian": ">"}
NUMBERS = {"Float64": "f8", "Float32": "f4", "UInt32": "u4", "UInt64": "u8"}


class Image(NamedTuple):
    """The box that an image fills, `((x, x), (y, y), (z, z))`, and its cell data `[x, y, z]` by name."""

    bounds: np.ndarray
    cells: dict[str, np.ndarray]


def read_image(file: Path) -> Image:
    """Return an uncompressed image in one piece, with its data appended raw behind a count of bytes each."""
    text, mark, rest = file.read_bytes().partition(b'<AppendedData encoding="raw">')
    data = rest[rest.index(b"_") + 1 :]
    root = ET.fromstring(text + mark + b"</AppendedData></VTKFile>")
    assert root.attrib["type"] == "ImageData" and "compressor" not in root.attrib
    order, header = BYTES[root.attrib["byte_order"]], NUMBERS[root.attrib.get("header_type", "UInt32")]
    (image,) = root.iter("ImageData")
    (piece,) = root.iter("Piece")
    assert piece.attrib["Extent"].split() == image.attrib["WholeExtent"].split()
    extent = _numbers(piece, "Extent").reshape(3, 2)
    shape = tuple(int(side) for side in np.diff(extent)[:, 0])
    cells = {}
    for array in piece.iterfind("CellData/DataArray"):
        assert array.attrib["format"] == "appended" and array.attrib.get("NumberOfComponents", "1") == "1"
        start, kind = int(array.attrib["offset"]), np.dtype(order + header)
        size = int(np.frombuffer(data, kind, 1, start)[0])
        number = np.dtype(order + NUMBERS[array.attrib["type"]])
        assert size == number.itemsize * np.prod(shape)
        values = np.frombuffer(data, number, size // number.itemsize, start + kind.itemsize)
        cells[array.attrib["Name"]] = values.reshape(shape, order="F")
    origin, spacing = (_numbers(image, name)[:, None] for name in ("Origin", "Spacing"))
    return Image(origin + extent * spacing, cells)


def _numbers(node: ET.Element, name: str) -> np.ndarray:
    return np.array(node.attrib[name].split(), float)
