"""One measurement: a model server and a server in front of it, both new, and what the load client says of them."""
import contextlib
import json
import os
import subprocess
import time

from . import process
from .servers import Model, Unavailable

WATCH_SECONDS = 0.25


class Session:
    """While it lasts, model server and server run."""

    def __init__(self, server, folder, shape):
        self.server, self.folder, self.shape = server, folder, shape
        self.model = None

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        self.model = Model(self.server.tools, self.folder)
        try:
            self.server.start(self.folder, self.model.port, self.shape)
        except BaseException:
            self.model.stop()
            raise
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.model.stop()

    def pid(self):
        """Of the server; None: there is none between client and model."""
        return self.server.process.pid if self.server.process else None

    # --- the load client ---

    def _command(self, options):
        tls = ["--tls"] if self.shape.tls else []
        return [self.server.tools.program("aigw-load"), "--port", str(self.server.port), *tls, *map(str, options)]

    def _start(self, options, stdin=subprocess.DEVNULL):
        return process.start(self._command(options), os.path.join(self.folder, "load.log"), stdin=stdin, stdout=subprocess.PIPE, text=True)

    def load(self, options, sample_after=None, patience=300):
        """Runs the load client; what it says, and what the server and the model server have used meanwhile. After sample_after seconds the memory
        is looked at, which is no small thing for the kernel."""
        pid = self.pid()
        used = {"cpu_s": -process.cpu_seconds(pid) if pid else 0, "model_cpu_s": -process.cpu_seconds(self.model.process.pid), "threads": 0}
        began = time.monotonic()
        client = self._start(options)
        try:
            while not _ended(client):
                seconds = time.monotonic() - began
                if pid:
                    used["threads"] = max(used["threads"], process.threads(pid))
                if pid and sample_after and seconds > sample_after and "pss_kb" not in used:
                    used["pss_kb"] = process.pss_kb(pid)
                if seconds > patience:
                    raise Unavailable(f"{self.server.title}: the load client had not ended after {patience} s")
            said = client.stdout.read()
        finally:
            process.stop(client)
        used["cpu_s"] += process.cpu_seconds(pid) if pid else 0
        used["model_cpu_s"] += process.cpu_seconds(self.model.process.pid)
        if not said.strip():
            raise Unavailable(f"the load client says nothing, see {self.folder}/load.log")
        used["late_us"] = self.model.stats()["late_us"]
        return json.loads(said), used

    def ask(self, options, patience=60):
        """Runs the load client for a moment; what it says."""
        client = self._start(options)
        try:
            said, _ = client.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{self.server.title}: the load client had not ended after {patience} s") from None
        finally:
            process.stop(client)
        if not said.strip():
            raise Unavailable(f"the load client says nothing, see {self.folder}/load.log")
        return json.loads(said)

    @contextlib.contextmanager
    def held(self, options):
        """While it lasts the streams, or idle connections, are open; gives their number."""
        client = self._start([*options, "--hold"], stdin=subprocess.PIPE)
        try:
            line = client.stdout.readline()
            if not line:
                raise Unavailable(f"the load client has opened nothing, see {self.folder}/load.log")
            yield json.loads(line)["open"]
            client.stdin.close()
            client.stdout.read()
        finally:
            process.stop(client)


def _ended(client):
    try:
        client.wait(WATCH_SECONDS)
        return True
    except subprocess.TimeoutExpired:
        return False
