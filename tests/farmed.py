"""What farmed tests have their workers do; a worker process imports this module."""

import os
import signal
import threading
import time
from pathlib import Path


def square(x):
    return {"value": float(x) ** 2, "vector": [1.0, float(x)], "what": "square"}


def where(x):
    return {"process": os.getpid(), "threads": int(os.environ["OMP_NUM_THREADS"]), "double": _double()}


def _double():
    import jax.numpy as jnp

    return jnp.ones(1).dtype == jnp.float64


def fallible(task):
    """Do what the task says: a number, or a word and a folder in which it counts how often it was begun."""
    word, folder = task
    with (Path(folder) / f"{word}-{os.getpid()}-{threading.get_ident()}").open("a") as file:
        file.write("begun\n")
    begun = len(list(Path(folder).glob(f"{word}-*")))
    if word.startswith("t"):
        time.sleep(0.05)  # longer than a result takes to be recorded
    if word == "killer" or (word.startswith("once") and begun == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "error":
        raise KeyError("no such thing")
    if word == "nan":
        return {"value": float("nan"), "vector": [1.0, float("inf")], "other": 1.0}
    if word == "none":
        return None
    return {"value": len(word)}


def slow(folder):
    (Path(folder) / f"{os.getpid()}-{threading.get_native_id()}-{os.urandom(4).hex()}").touch()
    time.sleep(0.05)
    return {"value": 1.0}


class Stubborn(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def stubborn(task):
    raise Stubborn(1, 2)
