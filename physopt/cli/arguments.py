"""Checks of numbers on the command line, before the work begins, with the allowed range in the error."""

import math


def check_count(option: str, value: int | None, least: int = 1, most: int = 10_000_000) -> None:
    """Raise a `ValueError` for a whole number outside a range; `None` is an option left out."""
    if value is not None and not least <= value <= most:
        raise ValueError(f"{option} {value}: write a whole number from {least} to {most}.")


def check_seed(value: int) -> None:
    """Raise a `ValueError` for a seed that random number generators do not take."""
    check_count("--seed", value, 0, 2**32 - 1)


def check_share(option: str, value: float, usual: str) -> None:
    """Raise a `ValueError` for a fraction that is not from 0 to below 1."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{option} {value}: write a fraction from 0 to below 1, such as {usual}.")


def check_positive(option: str, value: float, usual: str) -> None:
    """Raise a `ValueError` for a number that is not finite and above 0."""
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{option} {value}: write a number above 0, such as {usual}.")
