"""Ways to turn the folder of a finished run into one that does harm: each takes the folder and changes it.

Beside the folder lie `secret.txt` and `other.h5`, which no reader may ever look into.
"""

import json
import os
import shutil
import struct
from pathlib import Path

import h5py
import numpy as np

from physopt.core.trajectory.schema import checksum

SECRET = "xyzzy-secret"


def _replace(name, **how):
    """Put another dataset in the place of one of the packed file."""

    def change(folder):
        with h5py.File(folder / "run.h5", "r+") as file:
            units = file[name].attrs["units"]
            del file[name]
            file.create_dataset(name, **how).attrs["units"] = units

    return change


def _h5(edit):
    """Change the packed file."""

    def change(folder):
        with h5py.File(folder / "run.h5", "r+") as file:
            edit(file)

    return change


def _link(name, link):
    def edit(file):
        if name in file:
            del file[name]
        file[name] = link

    return _h5(edit)


def _external(name):
    def edit(file):
        del file[name]
        path = str(Path(file.filename).parent.parent / "secret.txt")
        file.create_dataset(name, shape=(8,), dtype="u1", external=[(path, 0, 8)]).attrs["units"] = np.bytes_(b"1")

    return _h5(edit)


def _virtual(file):
    layout = h5py.VirtualLayout(shape=(6,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(Path(file.filename).parent.parent / "other.h5"), "x", shape=(6,))
    del file["columns/value"]
    file.create_virtual_dataset("columns/value", layout).attrs["units"] = np.bytes_(b"hartree")


def _unknown_filter(file):
    del file["columns/value"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((6,))
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple((6,))
    h5py.h5d.create(file["columns"].id, b"value", h5py.h5t.IEEE_F64LE, space, plan)
    file["columns/value"].attrs["units"] = np.bytes_(b"hartree")


def with_attribute(owner, name, value):
    def edit(file):
        file[owner].attrs[name] = value

    return _h5(edit)


def with_manifest(**fields):
    def change(folder):
        path = folder / "run.json"
        content = {**json.loads(path.read_text()), **fields}
        content.pop("checksum")
        path.write_text(json.dumps({**content, "checksum": checksum(content)}))  # whoever means harm can compute it, too

    return change


def _text(content):
    return lambda folder: (folder / "run.json").write_bytes(content)


def _instead(name, make):
    def change(folder):
        (folder / name).unlink()
        make(folder / name)

    return change


def _truncated(part):
    def change(folder):
        path = folder / "run.h5"
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])

    return change


def _commit(edit):
    def change(file):
        rows = file["commit"][:]
        edit(rows)
        file["commit"][:] = rows

    return _h5(change)


def _gap(rows):
    rows[2, 0] = 77


def _negative(rows):
    rows[:, 0] -= 3


def _rename_column(name):
    return _h5(lambda file: file["columns"].move("value", name))


def _bomb(file):
    del file["columns/value"]
    file.create_dataset("columns/value", data=np.zeros(2**23), chunks=(2**23,), compression="gzip").attrs["units"] = np.bytes_(b"hartree")


GZIP = {"chunks": True, "compression": "gzip"}
HOSTILE = {
    "soft link": _link("columns/value", h5py.SoftLink("/commit")),
    "soft link to itself": _link("columns/value", h5py.SoftLink("/columns/value")),
    "soft link beside the data": _link("more", h5py.SoftLink("/commit")),
    "soft link for a group": _link("columns", h5py.SoftLink("/")),
    "soft link for the checkpoint": _link("checkpoint", h5py.SoftLink("/columns")),
    "external link": _link("columns/value", h5py.ExternalLink("../other.h5", "/x")),
    "external link to a device": _link("columns/value", h5py.ExternalLink("/dev/zero", "/x")),
    "external link for a group": _link("columns", h5py.ExternalLink("../other.h5", "/")),
    "external link for the root's child": _link("more", h5py.ExternalLink("../other.h5", "/x")),
    "external storage": _external("columns/value"),
    "external storage of the summary": _external("summary"),
    "external storage of the commits": _external("commit"),
    "virtual dataset": _h5(_virtual),
    "unknown filter": _h5(_unknown_filter),
    "lzf filter": _replace("columns/value", data=np.zeros(6), chunks=(6,), compression="lzf"),
    "scale-offset filter": _replace("columns/value", data=np.zeros(6), chunks=(6,), scaleoffset=3),
    "compound type": _replace("columns/value", data=np.zeros(6, "f8,f8")),
    "variable-length strings": _replace("columns/value", data=["x"] * 6, dtype=h5py.string_dtype()),
    "variable-length numbers": _replace("columns/value", shape=(6,), dtype=h5py.vlen_dtype("f8")),
    "object references": _replace("columns/value", shape=(6,), dtype=h5py.ref_dtype),
    "opaque type": _replace("columns/value", data=np.zeros(6, "V8")),
    "enumeration": _replace("columns/value", data=np.zeros(6, "?")),
    "strings": _replace("columns/value", data=np.zeros(6, "S8")),
    "array type": _replace("columns/value", shape=(6,), dtype=np.dtype(("f8", (2,)))),
    "128-bit floats": _replace("columns/value", data=np.zeros(6, "f16")),
    "no dataspace": _replace("columns/value", data=h5py.Empty("f8")),
    "scalar": _replace("columns/value", data=1.0),
    "too few rows": _replace("columns/value", data=np.zeros(3)),
    "other type": _replace("columns/value", data=np.zeros(6, "f4")),
    "other shape": _replace("columns/value", data=np.zeros((6, 2))),
    "petabytes declared": _replace("columns/value", shape=(6, 2**45), dtype="f8", chunks=(1, 2**20), compression="gzip"),
    "gigabytes in the checkpoint": _replace("checkpoint/0000", shape=(2, 2**33), dtype="f8", chunks=(1, 2**20)),
    "a chunk of a gigabyte": _replace("columns/value", shape=(6,), dtype="f8", chunks=(2**27,), maxshape=(None,)),
    "decompression bomb": _h5(_bomb),
    "petabytes of commits": _replace("commit", shape=(2**50, 4), dtype="i8", chunks=(1024, 4), compression="gzip"),
    "commits of another shape": _replace("commit", data=np.zeros((6, 2), "i8")),
    "commits of another type": _replace("commit", data=np.zeros((6, 4))),
    "commits with a gap": _commit(_gap),
    "commits before the beginning": _commit(_negative),
    "columns as a dataset": _h5(lambda file: (file.move("columns", "old"), file.create_dataset("columns", data=np.zeros(3)))),
    "a dataset as a group": _h5(lambda file: (file.move("commit", "old"), file.create_group("commit"))),
    "no commits": _h5(lambda file: file.__delitem__("commit")),
    "no columns": _h5(lambda file: file.__delitem__("columns")),
    "no unit": _h5(lambda file: file["columns/value"].attrs.__delitem__("units")),
    "other unit": with_attribute("columns/value", "units", np.bytes_(b"eV")),
    "unit of variable length": with_attribute("columns/value", "units", "hartree"),
    "unit of a megabyte": with_attribute("columns/value", "units", np.bytes_(b"x" * 60_000)),
    "unit as a number": with_attribute("columns/value", "units", 7),
    "unit not in UTF-8": with_attribute("columns/value", "units", np.bytes_(b"\xff\xfe")),
    "column name that climbs": _rename_column("..x"),
    "column name of the terminal": _rename_column("\x1b[2Jx"),
    "column name without end": _rename_column("x" * 5000),
    "summary that is no JSON": _replace("summary", data=np.frombuffer(b"{nope", "u1")),
    "summary nested without end": _replace("summary", data=np.frombuffer(b"[" * 10**6, "u1"), **GZIP),
    "summary of gigabytes": _replace("summary", shape=(2**33,), dtype="u1", **GZIP),
    "newer schema in the file": with_attribute("/", "encoding-version", np.bytes_(b"2.0")),
    "another schema in the file": with_attribute("/", "encoding-type", np.bytes_(b"anndata")),
    "schema of variable length": with_attribute("/", "encoding-type", "physopt-run"),
    "manifest empty": _text(b""),
    "manifest binary": _text(bytes(range(256))),
    "manifest a list": _text(b"[1, 2]"),
    "manifest a number with a million digits": _text(b"1" * 10**6),
    "manifest nested without end": _text(b'{"a":' * 10**6),
    "manifest larger than allowed": _text(b" " * (16 * 2**20 + 1)),
    "manifest without schema": _text(b"{}"),
    "manifest of a newer schema": with_manifest(**{"encoding-version": "2.1"}),
    "manifest version not a version": with_manifest(**{"encoding-version": {"$": 1}}),
    "manifest spec a string": with_manifest(spec="__import__('os').system('true')"),
    "manifest columns a list": with_manifest(columns=["value"]),
    "manifest column without type": with_manifest(columns={"value": {"unit": "1"}}),
    "manifest column of objects": with_manifest(columns={"value": {"unit": "1", "dtype": "O", "shape": []}}),
    "manifest column of impossible shape": with_manifest(columns={"value": {"unit": "1", "dtype": "f8", "shape": [10**30]}}),
    "manifest column that climbs": with_manifest(columns={"../../x": {"unit": "1", "dtype": "f8", "shape": []}}),
    "manifest of other columns": with_manifest(columns={"value": {"unit": "1", "dtype": "<f8", "shape": []}}),
    "manifest a link": _instead("run.json", lambda path: path.symlink_to("/etc/hostname")),
    "manifest a folder": _instead("run.json", Path.mkdir),
    "manifest a pipe": _instead("run.json", os.mkfifo),
    "manifest missing": lambda folder: (folder / "run.json").unlink(),
    "data a link": _instead("run.h5", lambda path: path.symlink_to(path.parent.parent / "other.h5")),
    "data a dangling link": _instead("run.h5", lambda path: path.symlink_to("nowhere")),
    "data a link to a device": _instead("run.h5", lambda path: path.symlink_to("/dev/zero")),
    "data a folder": _instead("run.h5", Path.mkdir),
    "data a pipe": _instead("run.h5", os.mkfifo),
    "data empty": _instead("run.h5", Path.touch),
    "data text": _instead("run.h5", lambda path: path.write_text(SECRET)),
    "data a pickle": _instead("run.h5", lambda path: path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")),
    "data only a signature": _instead("run.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)),
    "data with an absurd superblock": _instead(
        "run.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n\x03\x08\x08\0" + struct.pack("<4Q", 2**63, 0, 2**62, 96) + b"\0" * 64)
    ),
    "data in an old format": _instead("run.h5", lambda path: h5py.File(path, "w", libver="earliest").close()),
    "data of something else": _instead("run.h5", lambda path: h5py.File(path, "w", libver=("v110", "v110")).close()),
    "segment of something else": lambda folder: shutil.copy(folder.parent / "other.h5", _unpacked(folder) / "seg-0001.h5"),
    "truncated to half": _truncated(0.5),
    "truncated to a tenth": _truncated(0.1),
    "truncated by a little": _truncated(0.7),
}


def _unpacked(folder):
    (folder / "run.h5").unlink()
    return folder
