"""A redis-server of the benchmark's own; without one there is nothing to be measured."""
import os
import socket
import statistics
import time

from . import process
from .servers import find


class Redis:
    """While it lasts it runs on 127.0.0.1. port 0: there is no redis-server here."""

    def __init__(self, folder):
        self.folder, self.port, self.process, self.socket = folder, 0, None, None

    def __enter__(self):
        program = find("redis-server")
        if program:
            os.makedirs(self.folder, exist_ok=True)
            port = process.free_port()
            self.process = process.start([program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", self.folder],
                                         os.path.join(self.folder, "log"))
            if process.wait_until(lambda: self._connect(port), 20, self.process):
                self.port = port
        return self

    def __exit__(self, *_):
        if self.socket:
            self.socket.close()
        if self.process:
            process.stop(self.process)

    def _connect(self, port):
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return False
        return True

    def _ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.socket.recv(65536).decode()

    def calls(self):
        """Scripts that it was asked to run."""
        said = self._ask("INFO commandstats")
        return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in said.split("\r\n") if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:")))

    def round_trip(self, n=2000):
        """Of a PING, the median of n, in microseconds."""
        took = []
        for _ in range(n):
            began = time.perf_counter()
            self._ask("PING")
            took.append(time.perf_counter() - began)
        return statistics.median(took) * 1e6
