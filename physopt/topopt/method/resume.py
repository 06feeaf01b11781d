"""Restore the steps of a resumed topology optimization that an earlier process made, from the record."""

import dataclasses
from typing import Any

import numpy as np

from physopt.core.run import Solution


def recall(steps: list[Any], count: int, solution: Solution) -> None:
    """Insert the steps before a resume after the first `count`, which belong to earlier stages.

    Values and times are the recorded ones. Work is spread evenly over them. Volumes and designs, which no record keeps, are NaN.
    """
    if not solution.restored or len(steps) == count:
        return
    first, history = steps[count], solution.history
    work, seconds = (steps[count - 1].equivalents, steps[count - 1].seconds) if count else (0.0, 0.0)
    each = (first.equivalents - work) / (solution.restored + 1)
    steps[count:count] = [
        dataclasses.replace(
            first,
            equivalents=work + each * (index + 1),
            seconds=seconds + float(history.seconds[index]),
            value=float(history.value[index]),
            volume=np.nan,
            design=np.full_like(first.design, np.nan),
        )
        for index in range(solution.restored)
    ]
