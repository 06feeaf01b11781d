"""The text form of a problem: a TOML file in node coordinates, read strictly."""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from jaxtyping import Bool, Float
from msgspec import Meta
from numpy import ndarray

from .connected import check_connected, with_material
from .parts import Continuation, Load, Part, Passive, Spring, Support, Target
from .posed import check_posed, check_shape
from .space import Space
from .voxels import Placement
from .wording import check_text, explained

if TYPE_CHECKING:
    from .objective import AbstractObjective
    from .problem import SIMP
    from .structure import Structure

LARGEST = 20_000_000  # elements: some 10 GB
LONGEST = 1_000_000  # bytes of a problem file
AXES = "xyz"


class Definition(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A problem in node coordinates: x right, y up, z out, the origin at the lower left, elements of size 1, plane stress in 2D.

    - `name`, `source`: the name of the problem, and its source.
    - `physics`: "elastic" or "heat". `shape`: elements along each axis. `volfrac`: the fraction of the box to fill.
    - `interpolation`, `penal`: the law of stiffness, "simp" or "ramp", and its exponent, or its q.
    - `rmin`, `filter`, `beta`: the filter's radius in elements, its kind, the sharpness of the projection.
    - `objective`: "mean" (of the load cases, with `weights`), "worst" (of them), or "output" (of a mechanism).
    - `mirror`: axes along which the design is symmetric, such as "x".
    - `E0`, `Emin`, `nu`: moduli (or conductivities) of solid and void, Poisson's ratio.
    - `space`: files that define where material may be, and where it must be.
    - `support`, `load`, `output`, `spring`, `passive`: the parts; they act on nodes of elements that are not prescribed void.
    - `continuation`: easier problems that come first, in this order.
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

    def __post_init__(self) -> None:
        check_text("name", self.name, longest=200)
        check_text("source", self.source, longest=2000)

    def check(self) -> None:
        """Raise `ValueError` for a problem that cannot be solved, as far as this is known without a finite-element solve."""
        self._posed()

    def structure(self) -> "Structure":
        """Return grid, supports and forces; `ValueError` for a problem that cannot be solved."""
        from .structure import Structure

        force, held, spring, _ = self._posed()
        return Structure(tuple(self.shape), force, held, spring)

    def prescribed(self) -> Float[ndarray, "..."]:
        """Return the prescribed densities, NaN where the design is free: of `space`, then of each passive part; the last one counts."""
        passive = np.full(self.shape, np.nan) if self.space is None else self.space.prescribed(tuple(self.shape))
        for number, part in enumerate(self.passive):
            box = self._nodes(part, f"passive {number}")
            elements = tuple(slice(s.start, s.stop - 1) for s in box)
            if any(s.start == s.stop for s in elements):
                raise ValueError(f"The region {part.region} of passive {number} holds no element; let its corners differ along every axis.")
            passive[elements] = part.density
        return passive

    def place(self) -> Placement:
        """Return the position of the grid in the units of the file of the design space; else elements of length 1 from the origin."""
        return Placement() if self.space is None else self.space.place(tuple(self.shape))

    def problem(self, *, iterative: bool | None = None) -> "SIMP":
        """Return the final problem, after any continuation."""
        # JAX is loaded here and not with this module: a file that is refused does not wait for it.
        from .filters import DensityFilter, SensitivityFilter
        from .interpolation import Power, Ramp
        from .problem import SIMP
        from .structure import Structure

        filters = {"density": DensityFilter, "sensitivity": SensitivityFilter}
        mirrors = tuple(self._axes(self.mirror, "mirror", elastic=True))
        force, held, spring, passive = self._posed()
        return SIMP(
            Structure(tuple(self.shape), force, held, spring),
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

    def _posed(self) -> "tuple[Float[ndarray, '...'], Bool[ndarray, '...'], Float[ndarray, '...'] | None, Float[ndarray, '...']]":
        """Return the forces, what is held, the springs, and the prescribed densities."""
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
        springs = spring if self.spring else None
        check_posed(tuple(self.shape), force, held, springs)
        check_connected(force, held, springs, passive)
        return force, held, springs, passive

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
        numbers = sorted({load.case for load in self.load})
        cases = len(numbers)
        if missing := [case for case, number in enumerate(numbers) if case != number]:
            raise ValueError(f"Load case {missing[0]} has no load; number the cases 0, 1, 2, ... without a gap.")
        if cases * math.prod(n + 1 for n in self.shape) > 10 * LARGEST:
            raise ValueError(f"{cases} load cases on {'x'.join(map(str, self.shape))} elements need too much memory; write fewer.")
        if self.output and cases > 1:
            raise ValueError(f"A mechanism has one input: one load case, not {cases}.")
        return cases

    def _objective(self) -> "AbstractObjective":
        from .objective import MeanCompliance, Output, WorstCompliance

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


def read_definition(file: str | Path) -> Definition:
    """Return the problem of a TOML file; `ValueError` for anything but a well-formed one, `OSError` for one that cannot be opened."""
    file = Path(file)
    if not file.exists():
        raise FileNotFoundError(f"{file}: there is no such file.")
    if not file.is_file():
        raise ValueError(f"{file}: is {'a folder' if file.is_dir() else 'no regular file'}; name a TOML file.")
    if file.stat().st_size > LONGEST:
        raise ValueError(f"{file}: is larger than 1 MB, which no problem file needs.")
    try:
        content = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: is not TOML ({error}).") from None
    except RecursionError:
        raise ValueError(f"{file}: is nested too deeply to be a problem file.") from None
    if not content:
        raise ValueError(f"{file}: is empty. A problem says its shape and volfrac, and has a [[support]] and a [[load]].")
    try:
        definition = msgspec.convert(content, Definition)
    except msgspec.ValidationError as error:
        raise ValueError(f"{file}: {explained(error, Definition, content)}") from None
    return definition if definition.space is None else msgspec.structs.replace(definition, space=definition.space.beside(file))


def changed(definition: Definition, changes: Mapping[str, Any]) -> Definition:
    """Return a definition with some entries changed, checked like those of a file."""
    content = msgspec.to_builtins(definition) | dict(changes)
    try:
        return msgspec.convert(content, Definition)
    except msgspec.ValidationError as error:
        raise ValueError(f"{definition.name}: {explained(error, Definition, content)}") from None


def _numbers(tree: Any, path: str = "") -> list[tuple[str, float | int]]:
    """Return all numbers of nested lists and tables, with where they are."""
    if isinstance(tree, dict):
        return [found for key, value in tree.items() for found in _numbers(value, f"{path}.{key}" if path else key)]
    if isinstance(tree, list):
        return [found for index, value in enumerate(tree) for found in _numbers(value, f"{path}[{index}]")]
    return [(path, tree)] if isinstance(tree, int | float) and not isinstance(tree, bool) else []
