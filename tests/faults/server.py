"""A tracking server that fails on a script: MLflow's own, behind a proxy that drops, delays and refuses.

`python -m tests.faults.server FOLDER PORT` is the healthy server: database and artifacts in FOLDER.
"""

import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]

Deed = Literal["pass", "500", "500 after", "drop", "drop after", "late"]
"""What becomes of a request: answered; 500 before or after the work was done; no answer.

"late": no answer, and the work is done when `Proxy.late` is set.
"""

Behave = Callable[[int], Deed]
"""What becomes of the n-th request."""


class Proxy:
    """Stands before a tracking server. `behave` may be replaced, `down` and `up` called at any time."""

    def __init__(self, upstream: int) -> None:
        self.behave: Behave = lambda _: "pass"
        self.requests = 0
        self.path = ""  # of the latest request
        self.late = threading.Event()
        self.open = threading.Event()  # requests wait for it
        self.open.set()
        self._upstream = upstream
        self._lock = threading.Lock()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Listen, where nothing listened before."""
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                proxy._serve(self)

            def log_message(self, *_: object) -> None:
                """Not of interest."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.requests += 1
            self.path = request.path
            deed = self.behave(self.requests)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.open.wait()
        request.close_connection = True
        if deed == "late":
            request.connection.shutdown(socket.SHUT_RDWR)
            self.late.wait()
        status, answer, kind = 500, b"{}", "application/json"
        if deed in {"pass", "500 after", "drop after", "late"}:
            upstream = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=60)
            headers = {key: value for key, value in request.headers.items() if key != "Host"}
            upstream.request(request.command, request.path, body, headers)
            answered = upstream.getresponse()
            content = answered.read()
            upstream.close()
            if deed == "pass":
                status, answer = answered.status, content
                kind = answered.headers.get("Content-Type", kind)
        if deed in {"drop", "drop after"}:
            request.connection.shutdown(socket.SHUT_RDWR)
        if deed in {"drop", "drop after", "late"}:
            return
        try:
            request.send_response(status)
            request.send_header("Content-Type", kind)
            request.send_header("Content-Length", str(len(answer)))
            request.send_header("Connection", "close")
            request.end_headers()
            request.wfile.write(answer)
        except ConnectionError:
            pass  # a client without patience


@contextmanager
def healthy(folder: Path) -> Iterator[int]:
    """A tracking server that works; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.server", str(folder), str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline, "the tracking server does not start"
            time.sleep(0.05)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _main(folder: str, port: str) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = f"{folder}/artifacts"
    from mlflow.server import app
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", int(port), app, threaded=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
