"""Strictness for all tests: float64, fixed seeds, one thread per process."""

import os
import tempfile
from pathlib import Path

# Before any import that starts a thread pool: two threads are slower than one on small molecules, and change the last bits.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# XLA's own thread pool can wait for itself when there are as many tasks as threads; two cores have few.
# Most of what is compiled runs for less time than optimizing it takes: without, programs compile about three times as fast.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)

# What one process that tests start has compiled, the others load. These are killed at times, so their cache is of this run only.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="physopt-compiled-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import hypothesis
import jax
import pytest
import strict

strict.install()

jax.config.update("jax_enable_x64", True)
# What the tests themselves compile is kept for their next run: thousands of small programs, each far quicker to read than to compile.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# No deadline: the first example pays for a compilation. Fixed seeds: a red run can be repeated.
hypothesis.settings.register_profile("physopt", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("physopt")


# The files that take longest come first, so that no process is left alone with one of them at the end.
LONGEST = """
    test_rule_laws test_extras test_docs test_taken_up test_first_order test_as_optax test_pinn test_topopt test_boxed_rules
    test_series test_target test_accelerate test_topopt_library test_kill_runs test_pinn_network test_pinn_near test_dropin
    test_trajectory test_hostile_runs test_multigrid test_run_words test_study test_study_branches test_topopt_floor test_stability_law
""".split()


def pytest_collection_modifyitems(items):
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


LONG = 15.0  # CPU seconds, of processes that a test starts too; five minutes on two cores are 600 for all


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    begun = sum(os.times()[:4])
    try:
        return (yield)
    finally:
        item.user_properties.append(("cpu", sum(os.times()[:4]) - begun))


def pytest_terminal_summary(terminalreporter, config):
    """Name the tests that are too long for every day: they fail nothing, as a busy machine makes all tests longer."""
    if config.option.markexpr != "not slow":
        return
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.stats.get(outcome, []) if r.when == "call"]
    taken = sorted(((dict(r.user_properties)["cpu"], r.nodeid) for r in reports), reverse=True)
    for seconds, name in taken:
        if seconds > LONG:
            terminalreporter.write_line(f"{name} took {seconds:.0f} CPU seconds: mark it slow, or make it smaller")


@pytest.fixture(scope="module", autouse=True)
def _clear_compilation_caches():
    """Forget compiled code after each module, so that memory stays bounded over the whole suite."""
    yield
    jax.clear_caches()
