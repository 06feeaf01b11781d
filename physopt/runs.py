"""Recorded runs: write, read, pack and verify their folders."""

from .core.monitor import Monitor
from .core.trajectory import (
    Checkpoint,
    Column,
    Recorder,
    Report,
    ResumedElsewhereWarning,
    Run,
    UnreadableRunError,
    load,
    load_checkpoint,
    pack,
    verify,
)

__all__ = [
    "Checkpoint",
    "Column",
    "Monitor",
    "Recorder",
    "Report",
    "ResumedElsewhereWarning",
    "Run",
    "UnreadableRunError",
    "load",
    "load_checkpoint",
    "pack",
    "verify",
]
