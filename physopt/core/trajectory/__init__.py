"""Run folders: the record that a run writes, safe against kills, and everything that reads it. Only this package imports h5py.

The package imports nothing else of physopt, so that a child process can load it alone, without JAX, to read foreign files.
"""

from .arrays import read_arrays as read_arrays, write_arrays as write_arrays
from .asked import ResumedElsewhereWarning as ResumedElsewhereWarning
from .folder import FULL as FULL, compare as compare, refuse_occupied as refuse_occupied, try_folder as try_folder
from .packing import Report as Report, pack as pack, verify as verify
from .read import Checkpoint as Checkpoint, Run as Run, load as load, load_checkpoint as load_checkpoint
from .recorder import Recorder as Recorder
from .schema import (
    Column as Column,
    RecordingStoppedWarning as RecordingStoppedWarning,
    UnreadableRunError as UnreadableRunError,
    software_versions as software_versions,
)
from .whole import Whole as Whole
