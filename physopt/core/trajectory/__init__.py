"""Run folders: what a run writes down while it goes, kill-safe, and everything that reads it. The only importer of h5py.

The package knows nothing of the rest of physopt, so that a child process can load it alone, without JAX, to read foreign files.
"""

from .pack import Report as Report
from .pack import pack as pack
from .pack import verify as verify
from .read import Checkpoint as Checkpoint
from .read import Run as Run
from .read import load as load
from .read import load_checkpoint as load_checkpoint
from .recorder import Recorder as Recorder
from .schema import Column as Column
from .schema import RecordingStoppedWarning as RecordingStoppedWarning
from .schema import UnreadableRunError as UnreadableRunError
