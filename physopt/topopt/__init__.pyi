from .definition import Definition as Definition, changed as changed, read_definition as read_definition
from .export import write_stl as write_stl, write_vti as write_vti
from .family import RandomStructures as RandomStructures
from .filters import AbstractFilter as AbstractFilter, DensityFilter as DensityFilter, SensitivityFilter as SensitivityFilter
from .gallery import (
    GALLERY as GALLERY,
    bridge as bridge,
    bridge_3d as bridge_3d,
    cantilever as cantilever,
    cantilever_3d as cantilever_3d,
    heat_sink as heat_sink,
    inverter as inverter,
    l_bracket as l_bracket,
    mbb as mbb,
)
from .interpolation import AbstractInterpolation as AbstractInterpolation, Power as Power, Ramp as Ramp
from .library import Library as Library, Start as Start
from .method.methods import METHODS as METHODS, remember as remember, solve as solve, solve_near as solve_near
from .method.stages import Design as Design, Stage as Stage, Step as Step, optimize as optimize
from .objective import (
    AbstractObjective as AbstractObjective,
    MeanCompliance as MeanCompliance,
    Output as Output,
    PowerMean as PowerMean,
    WorstCompliance as WorstCompliance,
)
from .parts import Continuation as Continuation, Load as Load, Passive as Passive, Spring as Spring, Support as Support, Target as Target
from .problem import SIMP as SIMP
from .sensitivity import DesignSensitivity as DesignSensitivity, sensitivity as sensitivity
from .separable import Separable as Separable
from .structure import Structure as Structure, half_mbb as half_mbb
from .surface import Surface as Surface, surface_of as surface_of
