"""Restore the steps of a resumed topology optimization that an earlier process made, from the record."""

import dataclasses
from typing import Any

import numpy as np

from physopt.core.run import Solution


def recall(steps: list[Any], count: int, solution: Solution) -> None:
    """Insert the steps before a resume after the first `count`, which belong to earlier stages.

    Values, costs and times are the recorded ones. Volumes and designs, which no record keeps, are NaN.
    """
    if not solution.restored or len(steps) == count:
        return
    first, history = steps[count], solution.history
    work, seconds = (steps[count - 1].equivalents, steps[count - 1].seconds) if count else (0.0, 0.0)
    price, spent = (first.equivalents - work) / history.cost[: solution.restored + 1].sum(), np.cumsum(history.cost)
    steps[count:count] = [
        dataclasses.replace(
            first,
            equivalents=work + price * float(spent[index]),
            seconds=seconds + float(history.seconds[index]),
            value=float(history.value[index]),
            volume=np.nan,
            design=np.full_like(first.design, np.nan),
        )
        for index in range(solution.restored)
    ]
