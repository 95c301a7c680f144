"""What has to be seen of each section of docs/gpu.md, and what a machine must have for it."""

import re
import statistics
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import combinations

from search.study.vocabulary import Entry
from tests.gpu.looking import COPIES, RESIDENT, SEES
from tests.gpu.place import Place, Ran, Skipped, hold

Check = Callable[[Place, Sequence[Ran]], str]
"""Looks at what a section's commands left; says in a line what that was. Raises Broken."""


def install(place: Place, ran: Sequence[Ran]) -> str:
    """The backend sees the GPUs that the driver lists."""
    (done,) = ran
    done.well()
    for gpu in place.gpus:
        hold(gpu.name in done.said, f"{gpu} is not listed")
    trials = _trained(place, "gpu_install")
    worker = trials[0].worker
    known = (f"{name} {worker[name]}" for name in ("gpu.driver", "gpu.cuda") if name in worker)
    return ", ".join([worker["device"], *known, _seconds(trials)])


def preflight(place: Place, ran: Sequence[Ran]) -> str:
    """Without a GPU a launch that requires one ends before it has created anything."""
    (done,) = ran
    hold(done.code == 69, f"expected exit code 69, got {done.code}")
    said = re.search(r"launcher\.require_gpu: .*", done.said)
    hold(said, "no reason is given")
    hold(not place.trials("gpu_none"), "a trial was made")
    assert said is not None
    return f"exit code 69: {said[0]}"


def pinning(place: Place, ran: Sequence[Ran]) -> str:
    """Trials run on the GPU that was named, and their workers see no other."""
    for done in ran:
        done.well()
    found = []
    for name in ("gpu_pinned", "gpu_by_uuid"):
        trials = _trained(place, name)
        named = {entry.worker["gpu"] for entry in trials}
        hold(len(named) == 1, f"{name}: expected one GPU, got {', '.join(sorted(named))}")
        seen = {entry.worker.get(SEES, "1") for entry in trials}
        hold(seen == {"1"}, f"{name}: its workers see {', '.join(sorted(seen))} GPUs")
        found.append(named.pop())
    hold(found[0] == "0", f"expected GPU 0, got {found[0]}")
    hold(found[1].startswith("GPU-"), f"expected a GPU by its UUID, got {found[1]}")
    return f"on {found[0]}, and on {found[1]}; {len(place.gpus)} in the machine, each worker sees 1"


def packing(place: Place, ran: Sequence[Ran]) -> str:
    """Two workers train at once on one GPU, and neither takes all its memory."""
    ran[0].well()
    trials = _trained(place, "gpu_packed")
    pairs = [(a, b) for a, b in combinations(trials, 2) if _beside(a, b)]
    hold(pairs, "no two trials ran at the same time on one GPU")
    alone = _trained(place, "gpu_install")
    return f"{len(pairs)} pairs of trials at once on a GPU; {_seconds(trials)}, alone {_seconds(alone)}"


def out_of_memory(place: Place, ran: Sequence[Ran]) -> str:
    """The trial that doesn't fit is tried alone, and then failed; the other one is complete."""
    ran[0].well()
    trials = {entry.params["model.depth"]: entry for entry in place.trials("gpu_large")}
    small, large = trials[1], trials[64]
    hold(small.state == "complete", f"the small trial is {small.state}: {small.reason}")
    hold(large.state == "failed", f"the large trial is {large.state}")
    reason = (large.reason or "").splitlines()[0]
    hold(reason.startswith("out of memory, also alone on its GPU: "), f"another reason: {reason}")
    hold(large.attempts.made == 2, f"expected two attempts, got {large.attempts.made}")
    return f"tried twice, then failed: {reason:.160}"


def mig(place: Place, ran: Sequence[Ran]) -> str:
    """Trials run on the slice that was named."""
    ran[0].well()
    named = {entry.worker["gpu"] for entry in _trained(place, "gpu_mig")}
    hold(all(name.startswith("MIG-") for name in named), f"expected a slice, got {named}")
    return f"on {', '.join(sorted(named))}"


def utilisation(place: Place, _: Sequence[Ran]) -> str:
    """Each trial's run in MLflow has its device and its peak of memory; most, what their GPU did.

    A trial that ends while the monitor is still being imported has nothing of that.
    """
    from mlflow import MlflowClient

    client = MlflowClient(place.mlflow)
    experiment = client.get_experiment_by_name("gpu_packed")
    hold(experiment, "MLflow has no experiment gpu_packed")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "gpu" in run.data.tags]
    hold(runs, "no run has the tag gpu")
    for run in runs:
        hold("device" in run.data.tags, f"{run.info.run_name} has no device")
    busy, peaks = [], []
    for run in runs:
        metrics = run.data.metrics
        busy += [metrics[name] for name in metrics if name.endswith("_utilization_percentage")]
        peaks += [metrics[name] for name in metrics if name.endswith("peak_gpu_memory_mib")]
    hold(2 * len(busy) > len(runs), f"{len(runs)} runs, {len(busy)} of them with a utilisation")
    hold(len(peaks) >= len(runs), f"{len(runs)} runs, {len(peaks)} of them with a peak of memory")
    return (
        f"{len(runs)} runs, {len(busy)} with a utilisation: {min(busy):.0f} to {max(busy):.0f} %, "
        f"peak {min(peaks):.0f} to {max(peaks):.0f} MiB"
    )


def data(place: Place, _: Sequence[Ran]) -> str:
    """After its first trials a worker copies no rows any more, and they lie on its GPU."""
    found = []
    for entry in _trained(place, "gpu_install")[1:]:  # a worker's first tells of none
        if COPIES in entry.worker:
            found.append((int(entry.worker[COPIES]), entry.worker[RESIDENT]))
    hold(found, "no worker had a second trial")
    copies, places = {count for count, _ in found}, {where for _, where in found}
    hold(len(copies) == 1, f"rows were copied again: {sorted(copies)} copies")
    cpu = [where for where in places if "cpu" in where.lower()]
    hold(not cpu, f"rows lie on {', '.join(cpu)}")
    return f"{copies.pop()} parts copied once, on {', '.join(sorted(places))}"


def lanes(place: Place, ran: Sequence[Ran]) -> str:
    """Trials are trained at once by one process."""
    if ran[0].code == 69 and "sees none" in ran[0].said and place.backend != "jax":
        raise Skipped("JAX has no CUDA build here")
    ran[0].well()
    trials = _trained(place, "gpu_lanes")
    widths = {entry.worker.get("lanes") for entry in trials}
    hold(widths == {"4"}, f"expected four lanes, got {widths}")
    pairs = [
        (one, other)
        for one, other in combinations(trials, 2)
        if _beside(one, other) and _process(one) == _process(other)
    ]
    hold(pairs, "no two trials ran at the same time in one process")
    return f"{len(pairs)} pairs of trials at once in a process; {_seconds(trials)}"


def scheduled(place: Place, ran: Sequence[Ran]) -> str:
    """What is printed for cron requires a GPU, and runs as it stands."""
    ran[0].well()
    lines = [line for line in ran[0].said.splitlines() if line.startswith("0 2 * * * ")]
    hold(lines, "no line for cron is printed")
    hold("launcher.require_gpu=true" in lines[0], "what is printed requires no GPU")
    done = place.run(lines[0].removeprefix("0 2 * * * ").replace(r"\%", "%"))
    done.well()
    return f"cron's line ended with {done.code}: {_seconds(_trained(place, 'gpu_nightly'))}"


def needs_mig(_: Place) -> None:
    """Raise Skipped where there is no slice."""
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    if "MIG-" not in listed.stdout:
        raise Skipped("nvidia-smi -L lists no slice")


def needs_jax(_: Place) -> None:
    """Raise Skipped where lanes have nothing to run on."""
    if find_spec("jax") is None:
        raise Skipped("JAX is not installed")


def needs_nvml(_: Place) -> None:
    """Raise Skipped where nothing can be measured."""
    if find_spec("pynvml") is None:
        raise Skipped("nvidia-ml-py is not installed (plumbline[gpu] brings it)")


CHECKS: dict[str, Check] = {
    "Install": install,
    "Preflight": preflight,
    "Pinning": pinning,
    "Packing": packing,
    "Out of memory": out_of_memory,
    "MIG": mig,
    "Utilisation": utilisation,
    "Data": data,
    "Lanes": lanes,
    "Scheduled sweeps": scheduled,
}
"""By the heading of the section."""

NEEDS: dict[str, Callable[[Place], None]] = {
    "MIG": needs_mig,
    "Utilisation": needs_nvml,
    "Lanes": needs_jax,
}
"""What is asked before a section's commands are run."""


def _trained(place: Place, name: str) -> list[Entry]:
    """The trials of a study, which have all come to an end on a GPU, in the order of their starts."""
    trials = sorted(place.trials(name), key=lambda entry: entry.started_at)
    hold(trials, f"{name} has no trials")
    for entry in trials:
        ended = entry.state in ("complete", "pruned")
        hold(ended, f"{name}: trial {entry.number} is {entry.state}: {entry.reason}")
        device = entry.worker["device"]
        hold(device != "cpu", f"{name}: trial {entry.number} was trained on the CPU")
    return trials


def _beside(one: Entry, other: Entry) -> bool:
    """Whether two trials ran on one GPU at the same time."""
    assert one.ended_at is not None
    assert other.ended_at is not None
    together = one.started_at < other.ended_at and other.started_at < one.ended_at
    return together and one.worker["gpu"] == other.worker["gpu"]


def _process(entry: Entry) -> str:
    """The process that a trial's worker is, or is a lane of."""
    return entry.worker["worker"].partition(".")[0]


def _seconds(trials: Sequence[Entry]) -> str:
    """How long trials took, without what their first epochs compiled."""
    usual = [
        statistics.median(epoch.seconds for epoch in entry.history[1:] or entry.history)
        for entry in trials
        if entry.history
    ]
    return f"{1000 * statistics.median(usual):.0f} ms an epoch over {len(usual)} trials"
