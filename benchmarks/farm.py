"""What farming costs: `python benchmarks/farm.py [--jobs 1 2] [--tasks 20] [--seconds 1.0] [--sleep]`, on a machine that does nothing else.

Each task keeps one core busy for so many seconds of processor time, or sleeps as long, which shows the overhead on a busy machine, and says
nothing of cores that share memory or a clock. The processes are started and have loaded physopt before the clock starts.
"""

import argparse
import time

from physopt import farm


def busy(seconds: float) -> dict[str, float]:
    """Spend processor time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))
    return {"seconds": seconds}


def asleep(seconds: float) -> dict[str, float]:
    """Wait."""
    time.sleep(seconds)
    return {"seconds": seconds}


def main() -> None:
    """Print the seconds, the speed-up over the first number of jobs, and what a task costs beyond its work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--sleep", action="store_true")
    chosen = parser.parse_args()
    work, first = asleep if chosen.sleep else busy, None
    print(f"{chosen.tasks} tasks, each {'asleep' if chosen.sleep else 'busy'} for {chosen.seconds} s")
    for jobs in chosen.jobs:
        with farm.Processes(jobs) as pool:
            farm.run(asleep, {f"start {k}": 0.5 for k in range(jobs)}, executor=pool)
            began = time.perf_counter()
            farm.run(work, {f"task {k}": chosen.seconds for k in range(chosen.tasks)}, executor=pool)
            taken = time.perf_counter() - began
        first = taken if first is None else first
        beyond = 1000.0 * (jobs * taken / chosen.tasks - chosen.seconds)
        print(f"{jobs} processes: {taken:.2f} s, {first / taken:.2f} times as fast, {beyond:.1f} ms a task beyond its work", flush=True)


if __name__ == "__main__":
    main()
