"""Recorded runs: write, read, pack and verify their folders."""

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
