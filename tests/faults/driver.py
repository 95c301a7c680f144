"""Launches commands like `python -m search.optimize` in processes forked from one that has imported them.

A launch so costs a tenth of a second instead of two, and faults can be put into it without a hook in
the code: a method that kills its process, or fills the disk, before or after its n-th call.

Reads one JSON request a line from its standard input: `{id, module, argv, cwd, env, faults, settings}`.
Writes `{id, pid}` when the process runs and `{id, status}` when it ended.
"""

import gc
import importlib
import json
import os
import re
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

# Workers import this module too, as the main one, so what is slow to import comes below.

PRELOADED = (
    "alembic.command",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "optuna.storages._rdb.models",
    "optuna.storages._rdb.storage",
    "pipeline.data",
    "pipeline.tracking.mlflow",
    "search.setup.read",
    "search.coordination.coordinator",
    "search.engines.optuna",
    "search.workers.local",
    "search.trial_table.lock",
    "search.optimize",
    "search.telling.progress",
    "search.publish",
    "search.steering.asked",
    "search.telling.runs",
    "search.report",
    "search.trial_table.trials",
    "search.trial_table.weights",
    "sklearn.datasets",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)


def serve() -> dict[str, Any]:
    """Fork for each request. Returns in the child, with the request; ends with standard input."""
    unread = b""
    children: dict[int, int] = {}
    while True:
        ready = select.select([0], [], [], 0.003 if children else None)[0]
        if ready:
            if not (read := os.read(0, 65536)):
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                sys.exit()
            *lines, unread = (unread + read).split(b"\n")
            for line in lines:
                request: dict[str, Any] = json.loads(line)
                if (pid := os.fork()) == 0:
                    return request
                children[pid] = request["id"]
                _reply({"id": request["id"], "pid": pid})
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                _reply({"id": children.pop(pid), "status": os.waitstatus_to_exitcode(status)})


def _warm_up() -> None:
    """What libraries load at their first use."""
    from pipeline.command.compose import compose
    from pipeline.data import load
    from pipeline.run.config import run_config
    from search.trial_table.storage import open_storage

    load(run_config(compose(["data=digits"])).data)
    with tempfile.TemporaryDirectory() as folder:
        open_storage(f"sqlite:///{folder}/warm.db").engine.dispose()


def _reply(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def prepare(request: dict[str, Any]) -> None:
    """Make this process the one that `request` describes."""
    os.setpgid(0, 0)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    for number, name in enumerate(("/dev/null", request["stdout"], request["stderr"])):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    if (encoding := request["env"].get("PYTHONIOENCODING")) is not None:  # as at Python's start
        sys.stdout.reconfigure(encoding=encoding, errors="strict")  # type: ignore[union-attr]
    sys.argv = [request["module"], *request["argv"]]
    for place, value in request["settings"].items():
        owner, _, name = place.rpartition(".")
        getattr(resolve_name(owner), name)  # it has to be there
        setattr(resolve_name(owner), name, value)
    for fault in request["faults"]:
        _wrap(**fault)


def _wrap(point: str, when: str, nth: int, does: str) -> None:
    """Have the `nth` call of `point` do something `when`: before or after it.

    `point`: `module:Class.method`; or `statement` or `mlflow_statement`, for one to an SQL database.
    `does`: kill; fill (no file can grow beyond 64 KiB from then on, which looks like a full disk); refuse
    (as a database server does that is not there); lose (as where such a server does not come back); or
    something to standard output: unread (nobody reads it any more) or full (it can't take any more).
    """
    calls = 0

    def now(moment: str) -> None:
        nonlocal calls
        calls += moment == "before"
        if moment == when and calls == nth:
            if does == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif does == "fill":
                resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.RLIM_INFINITY))
            elif does == "unread":
                read, write = os.pipe()
                os.close(read)
                os.dup2(write, 1)
            elif does == "full":
                os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
            elif does == "lose":
                from search.trial_table.postgres import LostError

                raise LostError("storage.url: postgresql://127.0.0.1/db: no answer")
            else:
                import sqlalchemy

                problem = Exception(
                    "no server: postgresql://ann:s3cret@127.0.0.1/db password=s3cret"
                )
                raise sqlalchemy.exc.OperationalError("", {}, problem)

    if point.endswith("statement"):
        import sqlalchemy

        @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
        def before_cursor_execute(connection: Any, *_: Any) -> None:
            if ("mlflow" in str(connection.engine.url)) == (point == "mlflow_statement"):
                now("before")

        return
    owner, name = re.split(r"[.:](?=\w+$)", point)
    method: Callable[..., Any] = getattr(resolve_name(owner), name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        now("before")
        result = method(*arguments, **named)
        now("after")
        return result

    setattr(resolve_name(owner), name, wrapped)


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    _warm_up()
    gc.collect()
    gc.freeze()  # what is there already need not be looked at in every child
    _reply({"id": 0, "pid": os.getpid()})
    asked = serve()
    prepare(asked)
    from pipeline.command.cli import command

    module = importlib.import_module(asked["module"])
    sys.exit(command(sys.argv[1:], module.main, asked["module"], "", module._help))
