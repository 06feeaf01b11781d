"""Export the best point of a recorded run that is finished, killed or still going."""

import dataclasses
import json
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from physopt.core.trajectory import Run, UnreadableRunError
from physopt.core.trajectory.folder import read_manifest
from physopt.core.trajectory.quarantine import load_checkpoint_isolated, load_isolated
from physopt.core.trajectory.whole import joined, manifest_of, parts

from .outputs import PICTURES

ATOM = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,15}( -?\d{1,6}(\.\d{1,12})?(e-\d{1,3})?){3}")


@dataclasses.dataclass(frozen=True)
class Best:
    """The best point of a run: its arrays by name, the value there, and the run."""

    run: Run
    arrays: dict[str, np.ndarray]
    value: float

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the arrays of one tree by their names in it: `best`, `shown` or `weights`."""
        found = {name.removeprefix(prefix): array for name, array in self.arrays.items() if name.startswith(prefix)}
        return {name.strip(".[]'"): array for name, array in found.items()}


def write_best(folder: Path, file: Path) -> str:
    """Write the best point of a run in the format of the name of `file`; returns a message.

    **Raises:** `ValueError` if the run has nothing in this format, or nothing yet.
    """
    ending = file.suffix.lower()
    if ending == ".xyz":
        return _write_molecule(folder, file)
    writers: dict[str, Callable[[Best, Path], None]] = {".npy": _write_array, ".npz": _write_arrays, ".safetensors": _write_weights}
    writers |= {".stl": _write_surface, ".vti": _write_image, **dict.fromkeys(PICTURES, _write_picture)}
    if ending not in writers:
        raise ValueError(
            f"{file}: best points are written as {', '.join([*writers, '.xyz'])}. Name it {file.with_suffix('.npz').name}, say."
        )
    best = best_of(folder)
    writers[ending](best, file)
    return f"wrote {file}: the best of {best.run.num_records} records of {best.run.folder}, {best.run.status}, value {best.value:.10g}"


def best_of(folder: Path) -> Best:
    """Return the best point of a run; for a run in parts, that of the lowest value among the parts with the problem itself."""
    found = [_best_of_one(part) for part in parts(folder) or [folder]]
    problem = manifest_of(folder).get("asked", {}).get("problem") if parts(folder) else None
    own = [best for best in found if best is not None and (problem is None or best.run.asked.get("problem") == problem)]
    if not own:
        raise ValueError(
            f"{folder} holds no record of the problem itself yet; let it run longer, or name a part: `physopt runs show` lists them."
        )
    return min(own, key=lambda best: best.value)


def _best_of_one(folder: Path) -> Best | None:
    try:
        run = load_isolated(folder)
    except UnreadableRunError:  # a record in its rows may be damaged, and the newest point be what it was
        told = read_manifest(folder)
        kept = {name: told.get(name, {}) for name in ("spec", "created", "versions", "asked", "leaves")}
        run = Run(folder, {}, {}, summary=None, status="damaged", **kept)
    checkpoint = load_checkpoint_isolated(folder)
    if checkpoint is None:
        return None
    if len(run.leaves) != len(checkpoint.leaves):
        raise ValueError(f"{folder} was recorded before records named their arrays (schema 1.0): resume it, and export what comes out.")
    arrays = dict(zip(run.leaves, checkpoint.leaves, strict=True))
    last = run.columns.get("value", run.columns.get("loss", np.zeros(0)))[-1:]
    return Best(run, arrays, float(arrays.get("best_value", last[0] if len(last) else np.nan)))


def _density(best: Best) -> np.ndarray:
    density = best.under("shown").get("density")
    if density is None or density.ndim not in (2, 3):
        raise ValueError(f"{best.run.folder} holds no design. Name a file that ends in .npz for all arrays of its best point.")
    return density


def _write_array(best: Best, file: Path) -> None:
    found = best.under("shown") if "shown['density']" in best.arrays else best.under("best")
    arrays = [found["density"]] if "density" in found else [array for name, array in found.items() if name != "_value"]
    if len(arrays) != 1:
        raise ValueError(f"The best point of {best.run.folder} has {len(arrays)} arrays: name a file that ends in .npz.")
    np.save(file, arrays[0])


def _write_arrays(best: Best, file: Path) -> None:
    kept = {name: array for name, array in best.arrays.items() if name.startswith(("best", "shown", "weights"))}
    np.savez(file, allow_pickle=False, **{re.sub(r"[^A-Za-z0-9_.-]+", ".", name).strip("."): array for name, array in kept.items()})


def _write_weights(best: Best, file: Path) -> None:
    from physopt.core.weights import save_arrays

    arrays = best.under("weights") or {name: array for name, array in best.under("best").items() if name != "_value"}
    module = best.run.asked.get("module")
    if not isinstance(module, Mapping):
        raise ValueError(f"{best.run.folder} holds no network and no trained rule. Name a file that ends in .npz for all arrays.")
    save_arrays(file, arrays, module, {"run": str(best.run.folder), "records": best.run.num_records, "spec": best.run.spec})


def _write_surface(best: Best, file: Path) -> None:
    from physopt.topopt import export

    export.write_stl(file, _density(best))


def _write_image(best: Best, file: Path) -> None:
    from physopt.topopt import export

    export.write_vti(file, _density(best))


def _write_picture(best: Best, file: Path) -> None:
    from physopt.plot import fields
    from physopt.topopt.surface import surface_of

    density, columns = _density(best), best.run.columns
    history = types.SimpleNamespace(value=columns.get("value", np.zeros(0)))
    title, surface = f"{best.value:.5g} at volume {density.mean():.3g}", None
    if density.ndim == 3:
        try:
            surface = surface_of(density)
        except ValueError:  # all of it gray still: seen from the front
            density = density.mean(axis=2)
    fields.plot_design(file, title, density, history, surface)


def _write_molecule(folder: Path, file: Path) -> str:
    found = parts(folder)
    run = joined(folder, [load_isolated(part) for part in found]) if found else load_isolated(folder)
    problem = run.asked.get("problem", {})
    atoms = problem.get("atoms") if isinstance(problem, Mapping) else None
    if not isinstance(atoms, list) or not all(isinstance(line, str) and ATOM.fullmatch(line) for line in atoms):
        raise ValueError(f"{folder} holds no molecule. Name a file that ends in .npz for all arrays of its best point.")
    settings = {name: problem.get(name) for name in ("charge", "spin")}
    comment = " ".join(f"{name}={value}" for name, value in settings.items() if isinstance(value, int))
    file.write_text("\n".join([str(len(atoms)), comment, *atoms]) + "\n")
    return f"wrote {file}: {len(atoms)} atoms, {json.dumps(comment)}"
