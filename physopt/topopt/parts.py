"""The parts of a problem file: loads, supports and others on boxes of nodes, and continuation."""

from typing import Annotated

import msgspec
from msgspec import Meta

Corner = Annotated[list[int], Meta(min_length=2, max_length=3)]
Region = Annotated[list[Corner], Meta(min_length=2, max_length=2)]


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Something that acts on a box of nodes, its corners included."""

    region: Region


class Support(Part, frozen=True, kw_only=True):
    """Fix the nodes with material along some of the axes, such as "xy"; "T" fixes their temperature."""

    fix: Annotated[str, Meta(min_length=1)]


class Load(Part, frozen=True, kw_only=True):
    """A total force, or heat, divided equally among the nodes with material. Loads of one case act together."""

    force: list[float]
    case: Annotated[int, Meta(ge=0)] = 0


class Target(Part, frozen=True, kw_only=True):
    """The output of a mechanism, and its direction: the mean displacement of the nodes along it is maximized."""

    direction: list[float]


class Spring(Part, frozen=True, kw_only=True):
    """A total stiffness to the ground along each axis, divided equally among the nodes."""

    stiffness: list[float]


class Passive(Part, frozen=True, kw_only=True):
    """Elements between the nodes of a box whose density is prescribed: 0 is void, 1 is solid."""

    density: Annotated[float, Meta(ge=0.0, le=1.0)]


class Continuation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An easier problem to solve first: another exponent, or a softer projection, for some solves."""

    solutions: Annotated[int, Meta(ge=1, le=100_000)]
    penal: Annotated[float, Meta(ge=1.0, lt=20.0)] | None = None
    beta: Annotated[float, Meta(ge=0.0, le=1e3)] | None = None
