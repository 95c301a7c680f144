"""What `study.order=fixed` costs against `free`, in a study whose trials take no time to run here.

    python -m benchmarks.order                       # some minutes
    python -m benchmarks.order --studies 4 --workers 2 --lags 3

The real sampler and pruner suggest and prune the trials of `+study=full`. How long an epoch takes is told
by the arithmetic of the network (0.2 TFLOP/s, 0.4 ms a step, 5 % of chance); how accurate it gets, by a
smooth function of its settings. `idle`: share of the workers' time without a trial, until the last one
has ended. `trained`: epochs' seconds of the whole study against free order (a pruner that hears of results
later prunes less). `time`: the study's length against free order. Each is a mean over studies with
other seeds; free and fixed order share them.
"""

import argparse
import heapq
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import search.engines.order
from pipeline.command.compose import compose
from search.setup.read import Setup, read
from search.study.vocabulary import Suggestions, Told

ROWS = 48_000
EPOCHS = 20


class Cost(NamedTuple):
    """Of one study, in seconds: its length, what its workers trained, and the share they were idle."""

    time: float
    trained: float
    idle: float


def seconds(params: Mapping[str, Any]) -> float:
    """How long an epoch of the network takes."""
    width, depth = params["model.hidden_units"], params["model.depth"]
    weights = 784 * width + (depth - 1) * width**2 + 10 * width
    return float(6 * ROWS * weights / 2e11 + 0.0004 * ROWS / params["train.batch_size"])


def accuracy(params: Mapping[str, Any]) -> float:
    """How accurate the network gets: best at 512 x 2, dropout 0.25 and the optimizer's best rate."""
    rate = -1.2 if params["train.optimizer"] == "sgd" else -2.9
    return float(
        0.983
        - 0.006 * (math.log10(params["train.learning_rate"]) - rate) ** 2
        - 0.002 * math.log2(512 / params["model.hidden_units"])
        - 0.0015 * (params["model.depth"] - 2) ** 2
        - 0.06 * (params["model.dropout"] - 0.25) ** 2
    )


def run(setup: Setup, workers: int, trials: int, seed: int) -> Cost:
    """A study of `trials` trials; whoever is free takes the next one as soon as there is one."""
    noise = np.random.default_rng(seed).normal(size=(trials, 2))
    engine = setup.engine_from((), workers)
    params: dict[int, Mapping[str, Any]] = {}
    curves: dict[int, dict[int, float]] = {}
    due: list[tuple[float, int]] = []
    now = trained = 0.0
    while True:
        while free := min(workers - len(due), trials - len(params)):
            answer = engine.ask(free)
            if not isinstance(answer, Suggestions):
                break
            for suggestion in answer.trials:
                number = len(params)
                params[number], curves[number] = suggestion.params, {}
                heapq.heappush(due, (now + pace(params[number], noise[number]), number))
        if not due:
            return Cost(now, trained, 1 - trained / (workers * now))
        now, number = heapq.heappop(due)
        curve = curves[number]
        epoch = len(curve) + 1
        goal = accuracy(params[number]) + 0.0007 * noise[number][1]
        curve[epoch] = goal - 0.12 * 0.7**epoch
        trained += pace(params[number], noise[number])
        if epoch == EPOCHS:
            engine.tell(Told(number, "complete", curve[epoch], curve))
        elif engine.report(number, curve):
            engine.tell(Told(number, "pruned", None, curve))
        else:
            heapq.heappush(due, (now + pace(params[number], noise[number]), number))


def pace(params: Mapping[str, Any], noise: Any) -> float:
    """Seconds an epoch in one trial."""
    return seconds(params) * math.exp(0.05 * noise[0])


def setup_of(order: str, pruner: str, seed: int) -> Setup:
    """The study with that order, pruner and seed."""
    overrides = ("+study=full", "data=digits", f"train.epochs={EPOCHS}", f"study.order={order}")
    return read(compose([*overrides, f"pruner={pruner}", f"sampler.seed={seed}"]), str)


def main() -> None:
    """Print a table: a line for each pruner, number of workers and lag."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--lags", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--pruners", nargs="+", default=["none", "median"])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--studies", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{arguments.trials} trials, {arguments.studies} studies each\n")
    print("| pruner | workers | lag | idle | idle in free order | trained | time |")
    print("|---|---|---|---|---|---|---|")
    for pruner in arguments.pruners:
        for workers in arguments.workers:
            seeds = range(arguments.studies)
            free = [
                run(setup_of("free", pruner, seed), workers, arguments.trials, seed)
                for seed in seeds
            ]
            for lag in arguments.lags:
                search.engines.order.LAG = lag
                fixed = [
                    run(setup_of("fixed", pruner, seed), workers, arguments.trials, seed)
                    for seed in seeds
                ]
                idle, before = (float(np.mean([cost.idle for cost in c])) for c in (fixed, free))
                trained = sum(cost.trained for cost in fixed) / sum(cost.trained for cost in free)
                time = sum(cost.time for cost in fixed) / sum(cost.time for cost in free)
                behind = f"{lag} x" if workers > 1 else "none"
                print(
                    f"| {pruner} | {workers} | {behind} | {idle:.1%} | {before:.1%} | "
                    f"{trained - 1:+.0%} | {time - 1:+.0%} |",
                    flush=True,
                )
                if workers == 1:
                    break  # the lag of a single worker is one trial


if __name__ == "__main__":
    main()
