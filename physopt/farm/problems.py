"""Problems of every domain as tasks that can be sent to a worker, and how a text names them."""

import abc
import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from physopt.scf.xyz import Molecule
    from physopt.topopt.definition import Definition

POINTS = 2500  # at most, at which an answer is recorded


class AbstractTask(abc.ABC):
    """A problem with a name, which is solved by itself in any process; what it holds can be pickled."""

    name: str

    @abc.abstractmethod
    def solve(self) -> dict[str, Any]:
        """Return what was found: numbers, texts and arrays by name, `converged` among them."""

    @abc.abstractmethod
    def asked(self) -> dict[str, Any]:
        """Return what a recorded result must have been asked for."""


@dataclasses.dataclass(frozen=True)
class MoleculeTask(AbstractTask):
    """The self-consistent field of a molecule, by `physopt.accelerate`; `target` as there."""

    name: str
    molecule: "Molecule"
    xc: str = "hf"
    basis: str = "def2-svp"
    target: str = "nearest"

    def solve(self) -> dict[str, Any]:
        """Return the energy in hartree, exact builds, and the orbitals."""
        from physopt.scf.method.accelerate import accelerate
        from physopt.scf.molecule import mean_field
        from physopt.scf.trace import trace

        mf = accelerate(mean_field(self.molecule, self.xc, self.basis), target=self.target)
        done = trace("physopt", mf)
        orbitals = {name: np.asarray(getattr(mf, name)) for name in ("mo_energy", "mo_occ", "mo_coeff")}
        return {"energy": done.energy, "exact_builds": done.total_builds, "converged": done.converged, **orbitals}

    def asked(self) -> dict[str, Any]:
        """Return the molecule and the level of theory."""
        return {"atoms": self.molecule, "xc": self.xc, "basis": self.basis, "target": self.target}


@dataclasses.dataclass(frozen=True)
class StructureTask(AbstractTask):
    """The topology of a structure, by `physopt.topopt.solve` with these options."""

    name: str
    definition: "Definition"
    method: str = "physopt"
    solutions: int = 300

    def solve(self) -> dict[str, Any]:
        """Return value, volume, solves, their worth in solves of the finest grid, and the physical densities."""
        from physopt.topopt.method.methods import solve

        design = solve(self.definition, self.method, solutions=self.solutions)
        last = design.steps[-1]
        return {
            "value": float(design.solution.evaluation.value),
            "volume": float(design.density.mean()),
            "evaluations": len(design.steps),
            "equivalents": last.equivalents,
            "converged": design.settled,
            "density": design.density,
        }

    def asked(self) -> dict[str, Any]:
        """Return the definition but for its names, with what the files of its space say."""
        import msgspec

        told = {name: value for name, value in msgspec.to_builtins(self.definition).items() if name not in ("name", "source", "space")}
        space = {} if self.definition.space is None else {"space": self.definition.prescribed()}
        return {"definition": told, **space, "method": self.method, "solutions": self.solutions}


@dataclasses.dataclass(frozen=True)
class EquationTask(AbstractTask):
    """A differential equation, by `physopt.pinn.solve`; `build` makes the `Problem` of these parameters, and is at the top of a module."""

    name: str
    build: Callable[..., Any]
    parameters: Mapping[str, float | int] = dataclasses.field(default_factory=dict)
    tol: float = 1e-6

    def solve(self) -> dict[str, Any]:
        """Return the estimated error, what was to be found, and the fields at some points."""
        from physopt.pinn.domain import product
        from physopt.pinn.method.solve import solve

        problem = self.build(**self.parameters)
        answer = solve(problem, self.tol)
        each = max(int(POINTS ** (1.0 / len(problem.ends))), 2)
        points = product([np.linspace(low, high, each) for low, high in problem.ends])
        points = points[problem.domain.inside(points[:, : len(problem.domain.names)])]
        return {
            "estimated_rel_l2": float(answer.error) if np.isfinite(answer.error) else None,
            "converged": answer.converged,
            "why": answer.why,
            "factors": answer.factors,
            "columns": answer.size,
            **{f"unknown {name}": value for name, value in answer.unknowns.items()},
            "points": points,
            "values": answer.at(points),
        }

    def asked(self) -> dict[str, Any]:
        """Return the equation, its parameters and the tolerance."""
        return {"equation": self.build, "parameters": dict(self.parameters), "tol": self.tol}


def tasks_of(
    problem: str | Path,
    *,
    xc: str | None = None,
    basis: str | None = None,
    tol: float = 1e-6,
    solutions: int = 300,
) -> list[AbstractTask]:
    """Return the tasks that a text or a path names.

    An XYZ file, a folder of them, a TOML file, a name of the gallery of structures, or one of the equations of `physopt pinn`; the last
    three with changes, as in `mbb:volfrac=0.4,shape=90x30` and `burgers:nu=0.01`.

    **Arguments:**

    - `xc`, `basis`: of all molecules, else what their files say, or `hf` and `def2-svp`. `tol`: of equations. `solutions`: of structures.

    **Raises:** `ValueError` for what names no problem, or one that cannot be solved; `OSError` for files that cannot be read.
    """
    path = Path(problem)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".xyz" and not file.name.startswith("."))
        if not files:
            raise ValueError(f"{path}: holds no XYZ file. Name a folder of molecules, a file, a structure or an equation.")
        return [_molecule(file, xc, basis) for file in files]
    if path.suffix.lower() == ".xyz":
        return [_molecule(path, xc, basis)]
    name, _, text = str(problem).partition(":")
    if path.suffix.lower() == ".toml" and path.exists():
        name, text = str(problem), ""  # whose name may have a colon
    return [_structure(name, text, solutions) if Path(name).suffix.lower() == ".toml" else _named(name, text, tol, solutions)]


def _molecule(file: Path, xc: str | None, basis: str | None) -> MoleculeTask:
    from physopt.scf.xyz import read_xyz

    molecule = read_xyz(file)
    return MoleculeTask(_plain(file.stem), molecule, xc or molecule.xc or "hf", basis or molecule.basis or "def2-svp")


def _named(name: str, text: str, tol: float, solutions: int) -> AbstractTask:
    from physopt.topopt.gallery import GALLERY

    if name in GALLERY:
        return _structure(name, text, solutions)
    from physopt.pinn.equations import EQUATIONS

    if name not in EQUATIONS:
        raise ValueError(
            f"{name!r:.80} is no problem: name an XYZ or TOML file, a folder of XYZ files, a structure ({', '.join(GALLERY)}) "
            f"or an equation ({', '.join(EQUATIONS)})."
        )
    build = EQUATIONS[name]
    known, chosen = inspect.signature(build).parameters, {}
    for key, value in _changes(name, text).items():
        if key not in known:
            raise ValueError(f"{name} has no parameter {key!r}; it has {', '.join(known)}.")
        kind = type(known[key].default)
        try:
            chosen[key] = kind(value)
        except ValueError:
            what = "whole number" if kind is int else "number"
            raise ValueError(f"{name}:{key}={value}: write a {what}, such as {known[key].default}.") from None
    build(**chosen)  # now, where a wrong parameter costs nothing
    return EquationTask(_plain(f"{name} {text}".strip()), build, chosen, tol)


def _structure(name: str, text: str, solutions: int) -> StructureTask:
    from physopt.topopt.definition import changed, read_definition
    from physopt.topopt.gallery import GALLERY

    changes: dict[str, Any] = _changes(name, text)
    shape = changes.pop("shape", None)
    if name not in GALLERY:
        if shape is not None:
            raise ValueError(f"{name}:shape={shape}: a file says its own shape; write shape=... for structures of the gallery.")
        definition = read_definition(name)
    elif shape is None:
        definition = GALLERY[name]()
    elif re.fullmatch(r"\d{1,5}(x\d{1,5}){1,2}", shape, re.ASCII):
        definition = GALLERY[name](tuple(int(side) for side in shape.split("x")))
    else:
        raise ValueError(f"{name}:shape={shape}: write the elements along each axis, such as 60x20 or 48x24x24.")
    definition = changed(definition, {key: _value(value) for key, value in changes.items()})
    try:
        definition.check()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    method = "oc" if definition.filter == "sensitivity" else "physopt"
    return StructureTask(_plain(f"{Path(name).stem if name not in GALLERY else name} {text}".strip()), definition, method, solutions)


def _changes(name: str, text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    if wrong := [key for key, equals, value in pairs if not (key and equals and value)]:
        raise ValueError(f"{name}:{text[:80]}: {wrong[0]!r} has no value; write NAME=VALUE, with commas between several.")
    return {key: value for key, _, value in pairs}


def _value(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _plain(name: str) -> str:
    """Return a name with nothing that a file's may not have."""
    plain = re.sub(r"[^A-Za-z0-9 _.,=+-]", "_", name)[:150]
    return plain if plain[0].isalnum() else f"x{plain}"
