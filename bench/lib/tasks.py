"""A gateway with tasks, and what a benchmark asks it."""
import http.client
import json
import os
import signal
import threading
import time

from . import process
from .postgres import Postgres
from .redis import Redis
from .servers import Gateway, Shape, Unavailable
from .session import Session

PATH = "/api/v1/tasks"
PROMPT = "five words for a task"
STORES = ("sqlite", "sqlite-normal", "pgsql", "redis")


class Store:
    """While it lasts there is what AIGWStore names. lines is None: there is no such server here."""

    def __init__(self, name, folder):
        self.name, self.folder, self.server, self.lines = name, folder, None, None

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        if self.name.startswith("sqlite"):
            # a folder that the gateway makes itself, so that it is its children's
            self.lines = [f'AIGWStore "sqlite:{self.folder}/{self.name}/aigw.db"', f"AIGWStoreSync {'normal' if self.name.endswith('normal') else 'full'}"]
            return self
        self.server = (Postgres if self.name == "pgsql" else Redis)(os.path.join(self.folder, self.name))
        self.server.__enter__()
        if self.server.port and self.name == "pgsql":
            self.lines = [f'AIGWStore "pgsql:{self.server.conninfo()}"', "AIGWStoreConnections 4"]
        elif self.server.port:
            self.lines = [f"AIGWRedis redis://127.0.0.1:{self.server.port}", "AIGWStore redis"]
        return self

    def __exit__(self, *problem):
        if self.server:
            self.server.__exit__(*problem)


class Tasks(Session):
    """A gateway on that store; children: its processes."""

    def __init__(self, build, folder, store, children, lines=()):
        super().__init__(Gateway(build, children=children), folder, Shape(tasks=[*store.lines, *lines]))

    def create_for(self, clients, seconds, owners=1):
        """As fast as they are taken, by so many users; what the load client says."""
        return self._ask_for(clients, seconds, ["--path", PATH, "--status", 202, "--addresses", owners, "--body", json.dumps({"prompt": PROMPT, "model": "near"})])

    def chat_for(self, clients, seconds):
        """The same question without a task: what the way there and back takes, and what else this machine does."""
        return self._ask_for(clients, seconds, ["--model", "near"])

    def _ask_for(self, clients, seconds, options):
        return self.ask([*options, "--json", "--keep-alive", "--streams", clients, "--seconds", seconds, "--warmup", 0.5], patience=60 + 2 * seconds)

    def client(self, owner=0):
        """Who is nobody is told apart by his address, as aigw-load --addresses has them."""
        return Client(self.server.port, f"127.0.0.{owner + 2}" if owner is not None else "127.0.0.1")


class Client:
    """One connection, which is made anew whenever it breaks. One thread uses it."""

    def __init__(self, port, address):
        self.port, self.address, self.connection = port, address, None

    def ask(self, method, path, body=None, headers=None):
        """(status, JSON); (0, None): there was no answer."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(self.address, 0))
            self.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            self.close()
            return 0, None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def any_left(self):
        """Is there one that has not ended?"""
        for state in ("pending", "running"):
            status, page = self.ask("GET", f"{PATH}?status={state}&limit=1")
            if status != 200 or page["tasks"]:
                return True
        return False

    def all(self):
        """Every task of the store, page by page."""
        tasks, cursor = [], None
        while True:
            status, page = self.ask("GET", f"{PATH}?limit=100" + (f"&cursor={cursor}" if cursor else ""))
            if status != 200:
                raise Unavailable(f"a page of the list: {status}")
            tasks += page["tasks"]
            cursor = page["next_cursor"]
            if not cursor:
                return tasks


def disk_sync(folder, seconds=1.0):
    """What it takes to have 4 KB on the disk for good: (p50, p99) in ms. Whatever a store promises to keep cannot be faster."""
    took, path = [], os.path.join(folder, "sync")
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(handle, bytes(1 << 20))
        os.fsync(handle)
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(took) < 100:
            began = time.perf_counter()
            os.pwrite(handle, os.urandom(4096), 4096 * (len(took) % 256))
            os.fdatasync(handle)
            took.append((time.perf_counter() - began) * 1e3)
    finally:
        os.close(handle)
        os.unlink(path)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


class Killer(threading.Thread):
    """Kills a child every so many seconds, the eldest first, and restarts httpd gracefully when it is told to."""

    def __init__(self, pid, every):
        super().__init__(daemon=True)
        self.pid, self.every, self.killed, self.restarts, self.over = pid, every, 0, 0, threading.Event()

    def run(self):
        while not self.over.wait(self.every):
            children = sorted(one for one in process.tree(self.pid) if process.parent(one) == self.pid)
            if children:
                try:
                    os.kill(children[0], signal.SIGKILL)
                    self.killed += 1
                except ProcessLookupError:
                    pass

    def restart(self):
        self.restarts += 1
        os.kill(self.pid, signal.SIGUSR1)

    def stop(self):
        self.over.set()
        self.join()


def create_all(session, n, owners, on_progress):
    """n tasks of so many users at the same time, each said until it was taken, by a key of its own; of each user {id: number}."""
    ids, numbers, lock = [{} for _ in range(owners)], iter(range(n)), threading.Lock()

    def one_client(owner):
        client = session.client(owner)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                client.close()
                return
            status = 0
            while status != 202:
                status, task = client.ask("POST", PATH, {"prompt": words(number), "model": "moment"}, {"Idempotency-Key": f"task-{number}"})
                if status not in (0, 202, 409, 500, 503):
                    raise Unavailable(f"creation: {status} {task}")
                if status != 202:
                    time.sleep(0.02)
            with lock:
                ids[owner][task["task_id"]] = number
                on_progress(sum(map(len, ids)))

    workers = [threading.Thread(target=one_client, args=(owner,), daemon=True) for owner in range(owners)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return ids


def words(number):
    return f"task {number} says its own five words"
