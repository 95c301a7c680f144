"""A chaos campaign: a study is struck at random moments, and the same command goes on each time.

    make chaos N=100
    python -m tests.faults.campaign 100 --seed 7

Strikes: SIGKILL (of the coordinator, a worker, or all), SIGSTOP and SIGCONT (of each of them), a full disk,
a tracking server that drops. They go over studies of both engines, one after the other, with a trainer
that takes milliseconds, on two workers, tracked on MLflow's own server. At the end of each study it prints
what was lost, is there twice, or was left running; the exit code is 0 where that is nothing.

A full disk needs no rights and no disk of its own: no file of the coordinator can grow beyond 64 KiB from a
random moment on (prlimit, Linux). Writing then fails with EFBIG in place of ENOSPC.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults import tally
from tests.faults.launch import Driver, Launch, eventually
from tests.faults.server import Proxy, healthy
from tests.faults.tally import Tally
from tests.faults.tracked import tracked
from tests.faults.world import World, outcomes

ENGINES = {
    "Optuna, random": ["sampler=random", "pruner=none"],
    "KerasTuner, random": ["engine=keras_tuner", "oracle=random"],
    "Optuna, TPE and median": ["sampler=tpe", "pruner=median"],
    "KerasTuner, Hyperband": ["engine=keras_tuner", "oracle=hyperband"],
}
SAME_ANYWAY = ("Optuna, random", "KerasTuner, random")
"""Whatever happens, their trials come to the same."""

STRIKES_PER_STUDY = 25
_NEVER_MET = 100_000
_KILLED = -signal.SIGKILL
_PATIENCE = 5
_SMALL = (2**16, resource.RLIM_INFINITY)


class Struck:
    """One study under strikes."""

    def __init__(self, world: World, proxy: Proxy, rng: random.Random) -> None:
        self._world = world
        self._proxy = proxy
        self._rng = rng
        self._launch: Launch | None = None
        self._by_itself: tuple[int, ...] = ()  # exit codes of a launch that nothing struck
        self._seen: dict[int, object] = {}
        self.strikes: Counter[str] = Counter()
        self.tally = Tally()
        self._deeds: dict[str, Callable[[Launch], None]] = {
            "kill": self._kill,
            "stop": self._stop,
            "full disk": self._fill,
            "server drop": self._drop,
        }

    def strike(self) -> None:
        """Strike a launch once; it goes on, or the next strike finds another."""
        name = self._rng.choices(list(self._deeds), [4, 2, 1, 2])[0]
        while (launch := self._running()).ended.wait(self._rng.uniform(0, 0.4)):
            self._expect(launch)
        self._deeds[name](launch)
        self.strikes[name] += 1
        self._look()

    def end(self) -> int:
        """Let the study end, and count; how many trials it has."""
        world = self._world
        if self._launch is not None and not self._launch.ended.is_set():
            self._launch.signal(signal.SIGTERM)
            self._expect(self._launch, 75)
        self._by_itself = (0,)
        self._look()
        target = len(world.entries()) + 3
        self._expect(world.start(f"study.trials={target}"))
        self._publish()
        with contextlib.suppress(AssertionError):
            eventually(lambda: not world.workers(), within=60)
        self.tally.left_running += [f"worker {pid}" for pid in world.workers()]
        table = world.table()
        self.tally.add(tally.of_table(table.entries(), target, self._seen))
        return target

    def _publish(self) -> None:
        """Tell the tracker the rest, as often as a busy machine lets that fail."""
        words = (f"tracking.uri={self._proxy.uri}", "tracking.report=false")
        for _ in range(_PATIENCE):
            launch = self._world.run(*words, module="search.publish")
            if launch.status != 69:
                break
        self._expect(launch)

    def _running(self) -> Launch:
        """A launch that has workers, and has often got a little further; or one that met its target."""
        world = self._world
        if self._launch is None or self._launch.ended.is_set():
            ((there,),) = world.rows("SELECT COUNT(*) FROM trials") or [(0,)]
            # A target that is near has ends struck, too.
            target = self._rng.choice([_NEVER_MET, _NEVER_MET, there + self._rng.randint(1, 8)])
            self._by_itself = () if target == _NEVER_MET else (0,)
            self._launch = world.start(f"study.trials={target}")
        launch = self._launch
        enough = world.count("COMPLETE") + self._rng.choice([0, 0, 1, 3])
        eventually(
            lambda: launch.ended.is_set() or (world.workers() and world.count("COMPLETE") >= enough)
        )
        return launch

    def _look(self) -> None:
        """What has ended by now must be there, unchanged, ever after."""
        if not self._world.rows("SELECT 1 FROM study_user_attributes WHERE key = 'about'"):
            return
        for number, outcome in outcomes(self._world.entries()).items():
            if outcome[0] != "running":
                self._seen.setdefault(number, outcome)

    def _expect(self, launch: Launch, *statuses: int) -> None:
        if launch.wait() not in (*statuses, *self._by_itself):
            self.tally.odd.append(f"exit code {launch.status}: {launch.output[-500:]}")

    def _victim(self, launch: Launch) -> int:
        workers = self._world.workers()
        return self._rng.choice(workers) if workers else launch.pid

    def _kill(self, launch: Launch) -> None:
        who = self._rng.choice(["coordinator", "worker", "all"])
        if who == "worker":
            _send(self._victim(launch), signal.SIGKILL)
            return
        if who == "all":
            for worker in self._world.workers():
                _send(worker, signal.SIGKILL)
        launch.signal(signal.SIGKILL)
        self._expect(launch, _KILLED)

    def _stop(self, launch: Launch) -> None:
        """Stop for a while; now and then what was stopped is killed."""
        whole = self._rng.random() < 0.3
        pids = [launch.pid, *self._world.workers()] if whole else [self._victim(launch)]
        if not whole and self._rng.random() < 0.5:
            pids = [launch.pid]
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.05, 1.5))
        if launch.pid in pids and self._rng.random() < 0.2:
            launch.signal(signal.SIGKILL)
            self._expect(launch, _KILLED)
        for pid in pids:
            _send(pid, signal.SIGCONT)

    def _fill(self, launch: Launch) -> None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(launch.pid, resource.RLIMIT_FSIZE, _SMALL)
        self._expect(launch, 74)

    def _drop(self, _: Launch) -> None:
        self._proxy.down()
        time.sleep(self._rng.uniform(0.05, 1.5))
        self._proxy.up()


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def study(
    driver: Driver, folder: Path, engine: str, upstream: int, strikes: int, rng: random.Random
) -> tuple[Struck, int, World]:
    """A study of `engine` after so many strikes, how many trials it has, and its world."""
    folder.mkdir()
    world, proxy = World(driver, folder), Proxy(upstream)
    world.name = folder.name
    world.epoch_seconds = 0.03
    world.env["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "60"  # a busy machine has a slow server
    world.overrides = [
        *("+study=smoke", f"study.name={world.name}", "train.epochs=3", "launcher.workers=2"),
        *(f"tracking.uri={proxy.uri}", "tracking.report=false", "launcher.attempts=99"),
        *("launcher.trainer=tests.faults.fakes.make_trainer", *ENGINES[engine]),
    ]
    proxy.up()
    try:
        struck = Struck(world, proxy, rng)
        for _ in range(strikes):
            struck.strike()
        return struck, struck.end(), world
    finally:
        world.close()
        proxy.down()


def _compared(driver: Driver, folder: Path, world: World, target: int) -> Tally:
    """Trials that came to something else than in a study that nobody struck."""
    folder.mkdir()
    calm = World(driver, folder)
    calm.overrides = [*world.overrides, "tracking=none", "launcher.workers=1"]
    calm.overrides = [o for o in calm.overrides if not o.startswith("tracking.")]
    calm.epoch_seconds = 0.0
    assert calm.run(f"study.trials={target}").status == 0
    ours, theirs = outcomes(world.entries()), outcomes(calm.entries(world.name))
    return Tally(lost=[f"trial {n}: another one" for n in theirs if ours.get(n) != theirs[n]])


def campaign(strikes: int, seed: int, folder: Path, per_study: int = STRIKES_PER_STUDY) -> Tally:
    """Strike so many times; what came of it, printed as it goes."""
    rng = random.Random(seed)
    whole, kinds, trials, number = Tally(), Counter[str](), 0, 0
    driver, server = Driver(), folder / "server"
    server.mkdir()
    try:
        with healthy(server) as upstream:
            while strikes > 0:
                engine = list(ENGINES)[number % len(ENGINES)]
                name = f"study-{number}"
                each = min(per_study, strikes)
                struck, target, world = study(driver, folder / name, engine, upstream, each, rng)
                table = world.table()
                runs = tracked(server / "mlflow.db", name)
                struck.tally.add(tally.of_tracker(runs, table.entries(), table.uid))
                if engine in SAME_ANYWAY:
                    calm = folder / f"calm-{number}"
                    struck.tally.add(_compared(driver, calm, world, target))
                print(f"{engine}: {_counted(struck.strikes)}, {target} trials: {struck.tally}")
                for problem in struck.tally.all:
                    print(f"  {problem}")
                sys.stdout.flush()
                whole.add(struck.tally)
                kinds += struck.strikes
                trials, number, strikes = trials + target, number + 1, strikes - each
    finally:
        driver.close()
    print(f"{_counted(kinds)} over {number} studies of {trials} trials: {whole}")
    return whole


def _counted(strikes: "Counter[str]") -> str:
    kinds = ", ".join(f"{count} {name}" for name, count in strikes.most_common())
    return f"{strikes.total()} strikes ({kinds})"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("strikes", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=None, help="which strikes; a new one each time")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))  # what was started here ends with it
    folder = Path(tempfile.mkdtemp(prefix="plumbline-chaos-"))
    came_of_it = campaign(arguments.strikes, seed, folder)
    if came_of_it.clean:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept to be looked at: {folder}")
    return 0 if came_of_it.clean else 1


if __name__ == "__main__":
    sys.exit(main())
