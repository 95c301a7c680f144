"""A launcher without processes, whose tasks end at once."""

from collections.abc import Callable

from search.workers.messages import Event, Started, Task


class Launcher:
    """Ends the oldest running task at every poll, as `work` says."""

    def __init__(self, workers: int, work: Callable[[Task], Event]) -> None:
        self.tasks: list[Task] = []
        self._running: list[Task] = []
        self._workers = workers
        self._work = work

    def free(self) -> int:
        return self._workers - len(self._running)

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self._running.append(task)

    def poll(self, timeout: float) -> list[Event]:
        task = self._running.pop(0)
        return [Started(task.number, {"device": "fake"}), self._work(task)]

    def reply(self, number: int, prune: bool) -> None:
        raise AssertionError("no epoch was told of")

    def close(self) -> None:
        self._running.clear()
