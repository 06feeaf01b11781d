"""The text form of a problem: a TOML file in node coordinates, read strictly."""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from jaxtyping import Bool, Float
from msgspec import Meta
from numpy import ndarray

from .connected import check_connected, with_material
from .filters import DensityFilter, SensitivityFilter
from .interpolation import Power, Ramp
from .objective import AbstractObjective, MeanCompliance, Output, WorstCompliance
from .problem import SIMP
from .space import Space
from .structure import Structure, check_shape

LARGEST = 20_000_000  # elements: some 10 GB
AXES = "xyz"

Corner = Annotated[list[int], Meta(min_length=2, max_length=3)]
Region = Annotated[list[Corner], Meta(min_length=2, max_length=2)]


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Something that acts on a box of nodes, its corners included."""

    region: Region


class Support(Part, frozen=True, kw_only=True):
    """Hold the nodes with material along some of the axes, such as "xy"; "T" holds their temperature."""

    fix: Annotated[str, Meta(min_length=1)]


class Load(Part, frozen=True, kw_only=True):
    """A total force, or heat, shared equally by the nodes with material. Loads of one case act together."""

    force: list[float]
    case: Annotated[int, Meta(ge=0)] = 0


class Target(Part, frozen=True, kw_only=True):
    """Where a mechanism is to move, and along which direction: the mean displacement of the nodes along it is to be large."""

    direction: list[float]


class Spring(Part, frozen=True, kw_only=True):
    """A total stiffness to the ground along each axis, shared equally by the nodes."""

    stiffness: list[float]


class Passive(Part, frozen=True, kw_only=True):
    """Elements between the nodes of a box whose density is prescribed: 0 is void, 1 is solid."""

    density: Annotated[float, Meta(ge=0.0, le=1.0)]


class Continuation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An easier problem to solve first: another exponent, or a softer projection, for some solutions."""

    solutions: Annotated[int, Meta(ge=1, le=100_000)]
    penal: Annotated[float, Meta(ge=1.0, lt=20.0)] | None = None
    beta: Annotated[float, Meta(ge=0.0, le=1e3)] | None = None


class Definition(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A problem in node coordinates: x right, y up, z out, the origin at the lower left, elements of size 1, plane stress in 2D.

    - `name`, `source`: what it is called, and where it comes from.
    - `physics`: "elastic" or "heat". `shape`: elements along each axis. `volfrac`: the fraction of the box to fill.
    - `interpolation`, `penal`: the law of stiffness, "simp" or "ramp", and its exponent, or its q.
    - `rmin`, `filter`, `beta`: the filter's radius in elements, its kind, the sharpness of the projection.
    - `objective`: "mean" (of the load cases, with `weights`), "worst" (of them), or "output" (of a mechanism).
    - `mirror`: axes along which the design is symmetric, such as "x".
    - `E0`, `Emin`, `nu`: moduli (or conductivities) of solid and void, Poisson's ratio.
    - `space`: files that say where material may be, and must be.
    - `support`, `load`, `output`, `spring`, `passive`: the parts; these act on nodes of elements that are not prescribed void.
    - `continuation`: what comes before, in this order.
    """

    name: str = "unnamed"
    source: str = ""
    physics: Literal["elastic", "heat"] = "elastic"
    shape: Annotated[list[int], Meta(min_length=2, max_length=3)]
    volfrac: Annotated[float, Meta(gt=0.0, lt=1.0)]
    interpolation: Literal["simp", "ramp"] = "simp"
    penal: Annotated[float, Meta(ge=1.0, lt=20.0)] = 3.0
    rmin: Annotated[float, Meta(gt=0.0)] = 1.5
    filter: Literal["density", "sensitivity"] = "density"
    beta: Annotated[float, Meta(ge=0.0, le=1e3)] = 0.0
    objective: Literal["mean", "worst", "output"] = "mean"
    weights: list[float] | None = None
    mirror: str = ""
    E0: Annotated[float, Meta(gt=0.0)] = 1.0
    Emin: Annotated[float, Meta(gt=0.0)] = 1e-9
    nu: Annotated[float, Meta(gt=-1.0, lt=0.5)] = 0.3
    space: Space | None = None
    support: list[Support] = []
    load: list[Load] = []
    output: list[Target] = []
    spring: list[Spring] = []
    passive: list[Passive] = []
    continuation: list[Continuation] = []

    def structure(self) -> Structure:
        """Return grid, supports and forces; `ValueError` for what cannot be solved, in plain words."""
        return self._posed()[0]

    def prescribed(self) -> Float[ndarray, "..."]:
        """Return the prescribed densities, NaN where the design decides: of `space`, then of each passive part; the last one counts."""
        passive = np.full(self.shape, np.nan) if self.space is None else self.space.prescribed(tuple(self.shape))
        for number, part in enumerate(self.passive):
            box = self._nodes(part, f"passive {number}")
            elements = tuple(slice(s.start, s.stop - 1) for s in box)
            if any(s.start == s.stop for s in elements):
                raise ValueError(f"The region {part.region} of passive {number} holds no element; let its corners differ along every axis.")
            passive[elements] = part.density
        return passive

    def problem(self, *, iterative: bool | None = None) -> SIMP:
        """Return the problem that is to be solved in the end."""
        filters = {"density": DensityFilter, "sensitivity": SensitivityFilter}
        mirrors = tuple(self._axes(self.mirror, "mirror", elastic=True))
        structure, passive = self._posed()
        return SIMP(
            structure,
            self.volfrac,
            filters[self.filter](self.rmin),
            objective=self._objective(),
            interpolation={"simp": Power(), "ramp": Ramp()}[self.interpolation],
            penal=self.penal,
            sharpness=self.beta,
            mirrors=mirrors,
            passive=passive,
            poisson=self.nu,
            solid=self.E0,
            softest=self.Emin,
            iterative=iterative,
        )

    def _posed(self) -> tuple[Structure, Float[ndarray, "..."]]:
        """Return the structure, and the prescribed densities."""
        self._check_numbers()
        cases = self._check_parts()
        nodes = tuple(n + 1 for n in self.shape)
        comp = 1 if self.physics == "heat" else len(nodes)
        passive = self.prescribed()
        material = with_material(passive)
        held, spring = np.zeros((comp, *nodes), bool), np.zeros((comp, *nodes))
        force = np.zeros((cases + len(self.output), comp, *nodes))
        for number, support in enumerate(self.support):
            box, where = self._with_material(support, f"support {number}", material)
            for axis in self._axes(support.fix, f"support {number}"):
                held[(axis, *box)] |= where
        for number, load in enumerate(self.load):
            self._share(force[load.case], load, load.force, f"load {number}", material)
        for number, output in enumerate(self.output):
            self._share(force[cases + number], output, output.direction, f"output {number}", material)
        for number, item in enumerate(self.spring):
            if min(item.stiffness, default=0.0) < 0.0:
                raise ValueError(f"Spring {number} has the stiffness {item.stiffness}; write numbers of at least 0.")
            self._share(spring, item, item.stiffness, f"spring {number}", material)
        structure = Structure(tuple(self.shape), force, held, spring if self.spring else None)
        check_connected(structure, passive)
        return structure, passive

    def _check_parts(self) -> int:
        """Raise `ValueError` where parts are missing, else return the number of load cases."""
        if not self.support and not self.spring:
            raise ValueError("Nothing is held: write at least one [[support]] with a region and the axes to fix.")
        if not self.load:
            raise ValueError("Nothing is loaded: write at least one [[load]] with a region and a force.")
        if (self.objective == "output") != bool(self.output):
            raise ValueError(
                'A mechanism has objective = "output" and one [[output]] with a region and a direction; write both or neither.'
            )
        cases = max(load.case for load in self.load) + 1
        if missing := set(range(cases)) - {load.case for load in self.load}:
            raise ValueError(f"Load case {min(missing)} has no load; number the cases 0, 1, 2, ... without a gap.")
        if self.output and cases > 1:
            raise ValueError(f"A mechanism has one input: one load case, not {cases}.")
        return cases

    def _objective(self) -> AbstractObjective:
        if self.objective != "mean" and self.weights is not None:
            raise ValueError(f'weights belong to objective = "mean"; this one is "{self.objective}". Leave one of them out.')
        weights = None if self.weights is None else tuple(self.weights)
        return {"mean": MeanCompliance(weights), "worst": WorstCompliance(), "output": Output()}[self.objective]

    def _check_numbers(self) -> None:
        for name, value in _numbers(msgspec.to_builtins(self)):
            if not math.isfinite(value) or abs(value) > 1e12:
                raise ValueError(f"{name} is {value}; write a finite number, below 1e12.")
        check_shape(tuple(self.shape))
        if math.prod(self.shape) > LARGEST:
            raise ValueError(f"{'x'.join(map(str, self.shape))} are more than {LARGEST} elements; write a smaller shape.")
        if self.Emin >= self.E0:
            raise ValueError(f"Emin is {self.Emin}, not below E0 = {self.E0}; void must be softer than solid, such as 1e-9.")
        if len(self.output) > 1:
            raise ValueError(f"There are {len(self.output)} outputs; write one, its region may hold several nodes.")

    def _nodes(self, part: Part, what: str) -> tuple[slice, ...]:
        low, high = part.region
        if len(low) != len(self.shape) or len(high) != len(self.shape):
            raise ValueError(
                f"The region {part.region} of {what} does not have {len(self.shape)} coordinates in each corner, as the shape has."
            )
        if not all(0 <= a <= b <= n for a, b, n in zip(low, high, self.shape, strict=True)):
            raise ValueError(
                f"The region {part.region} of {what} is not in the box: write its lower corner first, "
                f"with coordinates from {[0] * len(self.shape)} to {self.shape}."
            )
        return tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))

    def _axes(self, text: str, what: str, *, elastic: bool = False) -> list[int]:
        letters = "T" if self.physics == "heat" and not elastic else AXES[: len(self.shape)]
        if len(set(text)) != len(text) or not set(text) <= set(letters):
            raise ValueError(f'{what} says "{text}"; write some of the letters "{letters}", each once.')
        return sorted(letters.index(letter) for letter in text)

    def _share(self, into: Float[ndarray, "comp ..."], part: Part, total: list[float], what: str, material: Bool[ndarray, "..."]) -> None:
        if len(total) != len(into):
            raise ValueError(f"{what.capitalize()} gives {len(total)} components; write {len(into)}.")
        box, where = self._with_material(part, what, material)
        into[(slice(None), *box)] += np.reshape(total, (-1,) + (1,) * where.ndim) * where / np.count_nonzero(where)

    def _with_material(self, part: Part, what: str, material: Bool[ndarray, "..."]) -> tuple[tuple[slice, ...], Bool[ndarray, "..."]]:
        """Return the box of a part, and which of its nodes touch an element where material may be: the others would bear nothing."""
        box = self._nodes(part, what)
        if not material[box].any():
            raise ValueError(f"The region {part.region} of {what} holds prescribed void only; move it, or the void.")
        return box, material[box]


def read_definition(file: Path) -> Definition:
    """Return the problem of a TOML file; `ValueError` for anything but a well-formed one."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: there is no such file.")
    if file.stat().st_size > 1_000_000:
        raise ValueError(f"{file}: is larger than 1 MB, which no problem file needs.")
    try:
        definition = msgspec.convert(tomllib.loads(file.read_bytes().decode()), Definition)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: is not TOML ({error}).") from None
    except msgspec.ValidationError as error:
        raise ValueError(f"{file}: {error}.") from None
    except RecursionError:
        raise ValueError(f"{file}: is nested too deeply to be a problem file.") from None
    return definition if definition.space is None else msgspec.structs.replace(definition, space=definition.space.beside(file))


def changed(definition: Definition, changes: Mapping[str, Any]) -> Definition:
    """Return a definition with some entries changed, checked like those of a file."""
    try:
        return msgspec.convert(msgspec.to_builtins(definition) | dict(changes), Definition)
    except msgspec.ValidationError as error:
        raise ValueError(f"{definition.name}: {error}.") from None


def _numbers(tree: Any, path: str = "") -> list[tuple[str, float | int]]:
    """Return all numbers of nested lists and tables, with where they are."""
    if isinstance(tree, dict):
        return [found for key, value in tree.items() for found in _numbers(value, f"{path}.{key}" if path else key)]
    if isinstance(tree, list):
        return [found for index, value in enumerate(tree) for found in _numbers(value, f"{path}[{index}]")]
    return [(path, tree)] if isinstance(tree, int | float) and not isinstance(tree, bool) else []
