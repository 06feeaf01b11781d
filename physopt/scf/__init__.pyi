from . import incore as incore
from .auxiliary import AbstractAuxiliary as AbstractAuxiliary, Auxiliary as Auxiliary
from .calibration import Calibration as Calibration, load_calibration as load_calibration
from .corrected import CorrectedSCF as CorrectedSCF, Surface as Surface
from .learned import SHIPPED as SHIPPED, KernelWeights as KernelWeights, load_kernel as load_kernel
from .meter import GRAD_TOL as GRAD_TOL, Meter as Meter
from .method.accelerate import accelerate as accelerate
from .method.diis import ResponseDIIS as ResponseDIIS
from .method.scanner import SeriesScanner as SeriesScanner
from .method.start import default_rule as default_rule
from .molecule import mean_field as mean_field
from .problem import SCF as SCF
from .sensitivity import FieldSensitivity as FieldSensitivity, sensitivity as sensitivity
from .stability import Stability as Stability, analyze as analyze
from .trace import Trace as Trace
from .training.fit import fit as fit, loss as loss, score as score
from .training.lessons import Lesson as Lesson, harvest as harvest
from .xyz import Molecule as Molecule, XYZError as XYZError, read_frames as read_frames, read_xyz as read_xyz
