"""Equations to solve, by the names that the command line gives them; each module has the `RANGE` of its parameters and an `EASY` choice."""

from collections.abc import Callable

from ..problem import Problem
from .allen_cahn import allen_cahn
from .burgers import burgers
from .cavity import cavity
from .convection import convection
from .gray_scott import gray_scott
from .heat import heat
from .helmholtz import helmholtz
from .kdv import kdv
from .kuramoto_sivashinsky import kuramoto_sivashinsky
from .poisson import poisson
from .reaction import reaction
from .schroedinger import schroedinger
from .wave import wave

EQUATIONS: dict[str, Callable[..., Problem]] = {
    "poisson": poisson,
    "heat": heat,
    "helmholtz": helmholtz,
    "burgers": burgers,
    "allen-cahn": allen_cahn,
    "convection": convection,
    "reaction": reaction,
    "wave": wave,
    "kdv": kdv,
    "cavity": cavity,
    "kuramoto-sivashinsky": kuramoto_sivashinsky,
    "schroedinger": schroedinger,
    "gray-scott": gray_scott,
}
