"""The rows of the comparison: what is done, which numbers come of it, what the gateway must reach."""
import json
import os
import statistics
import subprocess
import time

from . import process
from .redis import Redis
from .servers import Shape, Unavailable
from .session import Session

MB = 1024


class Metric:
    """A number of a row. digits: after the point; short: its name on the terminal while it runs, None: not shown there; compared: a ratio of two makes
    sense."""

    def __init__(self, key, title, digits=1, short=None, compared=True):
        self.key, self.title, self.digits, self.short, self.compared = key, title, digits, short, compared

    def text(self, value):
        return "–" if value is None else f"{value:,.{self.digits}f}"


class Target:
    """What the gateway must reach: at most (or at least) a limit, or so many times another server's number of the same round."""

    def __init__(self, metric, text, limit, of=None, at_least=False, goal=None):
        self.metric, self.text, self.limit, self.of, self.at_least, self.goal = metric, text, limit, of, at_least, goal

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


class Row:
    """A row. name, heading, metrics, targets and sizes are set by the subclasses; sizes[True] are those of --quick, and the heading names them."""
    without = ()    # servers that have no part in it
    tls = False

    def title(self, quick):
        return self.heading.format(*self.sizes[quick])

    def measure(self, server, folder, size):
        raise NotImplementedError


def _ms(quantiles, key, unit=1e3):
    return quantiles[key] / unit if quantiles["n"] else None


def _stream_numbers(said, used, direct):
    """What every row with streams tells."""
    tokens = said["tokens"]
    return {"lost": said["lost"], "completed": said["completed"], "failed": {k: v for k, v in said["failed"].items() if v},
            "cpu_per_m": None if direct or not tokens else used["cpu_s"] / tokens * 1e6,
            "added_p50": _ms(said["added_us"], "p50"), "added_p99": _ms(said["added_us"], "p99"),
            "steady_p50": _ms(said["added_steady_us"], "p50"), "steady_p99": _ms(said["added_steady_us"], "p99"),
            "ttft_p50": _ms(said["ttft_ms"], "p50", 1), "ttft_p99": _ms(said["ttft_ms"], "p99", 1),
            "threads": used["threads"] or None, "memory_mb": used["pss_kb"] / MB if "pss_kb" in used else None,
            "tokens": tokens, "tokens_per_s": said["events_per_s"], "seconds": said["seconds"], "cpu_s": used["cpu_s"],
            "client_cpu_s": said["cpu_s"], "model_cpu_s": used["model_cpu_s"], "late_p99": _ms(used["late_us"], "p99"),
            "histogram": said["added_histogram_us"]}


class Streams(Row):
    """Many streams at a reader's pace, each once."""
    heading = "{0:,} streams × {2} tokens/s"
    metrics = [Metric("lost", "streams lost", 0, "lost", False), Metric("cpu_per_m", "CPU s per million tokens", 1, "CPU s/M"),
               Metric("added_p50", "added per token p50, ms", 2, "added ms p50"), Metric("added_p99", "added per token p99, ms", 2, "p99"),
               Metric("steady_p99", "… p99 while all are open, ms", 2), Metric("ttft_p50", "first event p50, ms", 2),
               Metric("ttft_p99", "first event p99, ms", 1, "first event ms p99"), Metric("threads", "threads", 0, "threads", False),
               Metric("memory_mb", "memory (PSS), MB", 0, "MB"), Metric("late_p99", "model server late p99, ms", 1, None, False)]

    def measure(self, server, folder, size):
        n, tokens, rate, ramp = size
        with Session(server, folder, Shape(n)) as session:
            said, used = session.load(["--streams", n, "--tokens", tokens, "--rate", rate, "--ramp", ramp, "--timeout", 240],
                                      sample_after=n / ramp + tokens / rate / 2)
            numbers = _stream_numbers(said, used, server.name == "direct")
        numbers["lost"] += n - said["opened"]
        return numbers


class Streams5000(Streams):
    name = "streams5000"
    sizes = {False: (5000, 200, 10, 1000), True: (500, 40, 10, 500)}
    targets = [Target("lost", "loses none", 0), Target("cpu_per_m", "CPU ≤ 1.25 × nginx's", 1.25, "nginx", goal=1),
               Target("added_p99", "p99 added ≤ 1.5 × nginx's", 1.5, "nginx"), Target("threads", "under 40 threads", 39)]


class Streams9500(Streams):
    name = "streams9500"
    sizes = {False: (9500, 100, 10, 1000), True: (1000, 30, 10, 500)}
    targets = [Target("lost", "all complete", 0)]


class Memory(Row):
    """What one more open stream costs a server that has been at work."""
    without = ("direct",)
    name, heading = "memory", "memory per open stream, at {0:,}"
    sizes = {False: (2000, 10), True: (300, 10)}
    metrics = [Metric("pss_kb", "KB (PSS)", 1, "KB"), Metric("rss_kb", "KB (RSS)"), Metric("base_mb", "before, MB", 0, "before MB", False)]
    targets = [Target("pss_kb", "at most 40 KB", 40, goal=25)]

    def measure(self, server, folder, size):
        n, rate = size
        options = ["--tokens", 1000000, "--rate", rate, "--ramp", 1000]
        with Session(server, folder, Shape(n, self.tls)) as session:
            pid = session.pid()
            session.load(["--json", "--keep-alive", "--streams", 20, "--total", 400])
            with session.held(["--streams", n // 10, *options]):
                time.sleep(1)
            time.sleep(1)
            before = _memory(pid)
            with session.held(["--streams", n, *options]) as opened:
                time.sleep(3)
                after = _memory(pid)
        return {"pss_kb": (after[0] - before[0]) / opened, "rss_kb": (after[1] - before[1]) / opened, "base_mb": before[0] / MB, "opened": opened,
                "lost": n - opened}


class MemoryTLS(Memory):
    name, heading = "memory-tls", "memory per open stream, TLS, at {0:,}"
    tls = True
    targets = [Target("pss_kb", "at most 75 KB", 75, goal=60)]


def _memory(pid):
    return process.pss_kb(pid), process.rss_kb(pid)


class Requests(Row):
    """JSON in, JSON out, on connections that are kept: the next request when the answer is there."""
    connections = 1

    def measure(self, server, folder, size):
        warmup, seconds = size
        with Session(server, folder, Shape()) as session:
            said, used = session.load(["--json", "--keep-alive", "--streams", self.connections, "--warmup", warmup, "--seconds", seconds])
        took = said["latency_us"]
        return {"lost": said["lost"], "requests_per_s": said["requests_per_s"], "p50": took["p50"], "p90": took["p90"], "p99": took["p99"],
                "cpu_us": None if server.name == "direct" else used["cpu_s"] / max(1, said["completed"]) * 1e6,
                "histogram": said["latency_histogram_us"]}


class Requests1(Requests):
    name, heading = "json1", "JSON, 1 connection"
    sizes = {False: (1, 5), True: (.5, 1.5)}
    metrics = [Metric("added_p50", "added p50, µs"), Metric("p50", "p50, µs", 1, "µs p50"), Metric("p99", "p99, µs", 1, "p99"),
               Metric("cpu_us", "CPU per request, µs", 1, "CPU µs")]
    targets = [Target("lost", "loses none", 0), Target("added_p50", "added p50 ≤ mod_proxy's", 1, "mod_proxy")]


class Requests64(Requests):
    name, heading, connections = "json64", "JSON, 64 connections", 64
    sizes = {False: (1, 5), True: (.5, 1.5)}
    metrics = [Metric("requests_per_s", "requests/s", 0, "requests/s"), Metric("p50", "p50, µs", 0, "µs p50"), Metric("p99", "p99, µs", 0, "p99"),
               Metric("cpu_us", "CPU per request, µs", 1, "CPU µs")]
    targets = [Target("lost", "loses none", 0), Target("requests_per_s", "≥ mod_proxy's", 1, "mod_proxy", at_least=True)]


class Pace64(Row):
    """Streams whose model server waits for nobody: what one token costs when there is no time to sleep in between."""
    name, heading = "pace64", "64 streams × 100 tokens at full pace"
    sizes = {False: (1, 5), True: (.5, 1.5)}
    metrics = [Metric("lost", "streams lost", 0, "lost", False), Metric("cpu_per_m", "CPU s per million tokens", 1, "CPU s/M"),
               Metric("tokens_per_s", "tokens/s", 0, "tokens/s"), Metric("ttft_p50", "first event p50, ms", 2, "first event ms p50"),
               Metric("ttft_p99", "first event p99, ms", 2, "p99")]
    targets = [Target("lost", "loses none", 0), Target("cpu_per_m", "CPU ≤ nginx's", 1, "nginx"),
               Target("ttft_p99", "first event p99 ≤ 1.2 × nginx's", 1.2, "nginx")]

    def measure(self, server, folder, size):
        warmup, seconds = size
        with Session(server, folder, Shape(64)) as session:
            said, used = session.load(["--keep-alive", "--streams", 64, "--tokens", 100, "--rate", 0, "--warmup", warmup, "--seconds", seconds])
        return _stream_numbers(said, used, server.name == "direct")


class Leave(Row):
    """A client hangs up: how long until the model server sees its connection closed."""
    name, heading = "leave", "a client leaves, at {0:,} streams"
    phases = ("before_head", "before_token", "mid_stream")
    sizes = {False: (5000, 50, 1000), True: (500, 10, 500)}
    metrics = [Metric("worst", "slowest of all, ms", 1, "slowest ms"), Metric("unseen", "not seen within 5 s", 0, "not seen", False)] + \
              [Metric(f"{phase}_{q}", f"{phase.replace('_', ' ')} {q}, ms", 2) for phase in phases for q in ("p50", "max")]
    targets = [Target("worst", "within 50 ms in every phase", 50), Target("unseen", "all are seen", 0)]

    def measure(self, server, folder, size):
        n, leavers, ramp = size
        with Session(server, folder, Shape(n + leavers)) as session:
            said, _ = session.load(["--streams", n, "--tokens", 1000000, "--rate", 10, "--ramp", ramp, "--leave", leavers,
                                    "--stats-port", session.model.port])
        numbers = {"lost": said["lost"], "unseen": sum(p["left"] - p["seen"] for p in said["leave"].values())}
        for phase, result in said["leave"].items():
            numbers[f"{phase}_p50"], numbers[f"{phase}_max"] = _ms(result["took_ms"], "p50", 1), _ms(result["took_ms"], "max", 1)
        seen = [numbers[f"{phase}_max"] for phase in self.phases if numbers[f"{phase}_max"] is not None]
        numbers["worst"] = max(seen) if seen else None
        return numbers


ONLY_GATEWAY = ("direct", "haproxy", "nginx", "mod_proxy")


def _tool(server, name, *options):
    """What one of the tools that need no server says."""
    done = subprocess.run([server.tools.program(name), *map(str, options)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _lookup(server, *options):
    return _tool(server, "aigw-lookup", *options)


class Lookup(Row):
    """A key is found among many: SHA-256 and one look, without a server."""
    without = ONLY_GATEWAY
    name, heading = "lookup", "an API key among {0:,}"
    sizes = {False: (100000, 1000000), True: (100000, 50000)}
    metrics = [Metric("hit_p50", "found, p50, µs", 2, "found µs p50"), Metric("hit_p99", "found, p99, µs", 2, "p99"),
               Metric("miss_p50", "not there, p50, µs", 2, "not there µs p50"), Metric("miss_p99", "not there, p99, µs", 2, "p99"),
               Metric("read_ms", "reading the file, ms", 0, "file ms")]
    targets = [Target("hit_p50", "found within 5 µs", 5), Target("miss_p50", "not there within 5 µs", 5)]

    def measure(self, server, folder, size):
        keys, looks = size
        said = _lookup(server, "--keys", keys, "--looks", looks)
        return {"lost": 0, "read_ms": said["read_ms"],
                **{f"{what}_{q}": said[f"{what}_us"][q] for what in ("hit", "miss") for q in ("p50", "p99")}}


class Limit(Row):
    """A decision over limits in shared memory, keys and clock included, without a server."""
    without = ONLY_GATEWAY
    name, heading = "limit", "a decision over limits, {0:,} in use"
    sizes = {False: (1000000, 1000000), True: (1000000, 50000)}
    kinds = {"one": "of one limit", "two": "of two", "four": "of four", "call": "a call's slot and tokens, and settling them"}
    metrics = [Metric(f"{kind}_{q}", f"{words}, {q}, µs", 2, f"{kind} µs {q}") for kind, words in kinds.items() for q in ("p50", "p99")] + [
        Metric("key_p50", "its key alone, p50, µs", 2, "key µs")]
    targets = [Target(f"{kind}_p50", f"{words} within 3 µs", 3) for kind, words in kinds.items()]

    def measure(self, server, folder, size):
        keys, decisions = size
        said = _tool(server, "aigw-limit", "--keys", keys, "--decisions", decisions)
        return {"lost": 0, "key_p50": said["key_us"]["p50"], **{f"{kind}_{q}": said[f"{kind}_us"][q] for kind in self.kinds for q in ("p50", "p99")}}


class Auth(Row):
    """The same location with and without AuthType AIGW, in turns that last a moment: what else the machine does is beside both. A difference is the median of
    all turns' differences of medians."""
    without = ONLY_GATEWAY
    name, heading = "auth", "AuthType AIGW, {0:,} keys, 1 connection"
    sizes = {False: (100000, 200, 300), True: (1000, 10, 100)}
    metrics = [Metric("added_key", "added p50 by an API key, µs", 1, "key adds µs"), Metric("added_key_low", "… lower quartile"),
               Metric("added_key_high", "… upper quartile"), Metric("added_token", "added p50 by a token, µs", 1, "token adds µs"),
               Metric("added_token_low", "… lower quartile"), Metric("added_token_high", "… upper quartile"),
               Metric("p50_open", "p50 without, µs", 1, "without")]
    targets = [Target("lost", "loses none", 0), Target("added_key", "an API key adds ≤ 30 µs", 30),
               Target("added_token", "a cached token adds ≤ 150 µs (--token-file)", 150)]

    def measure(self, server, folder, size):
        keys, turns, requests = size
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "keys.jsonl")
        credentials = {"key": _lookup(server, "--keys", keys, "--write", path)["key"]}
        if server.token:
            credentials["token"] = server.token
        p50 = {"open": [], **{what: [] for what in credentials}}
        lost = 0
        with Session(server, folder, Shape(auth_keys=path)) as session:
            for turn in range(turns + 1):
                # the first is to warm up; the order changes, or whoever comes second would always find a warmer machine
                for what in sorted(p50, reverse=turn % 2):
                    said = session.ask(["--path", f"/{'open' if what == 'open' else 'auth'}/v1/chat/completions", "--model", "near", "--json", "--keep-alive",
                                        "--streams", 1, "--total", requests, "--header", f"Authorization: Bearer {credentials.get(what, credentials['key'])}"])
                    lost += said["lost"]
                    if turn:
                        p50[what].append(said["latency_us"]["p50"])
        numbers = {"lost": lost, "turns": turns, **{f"p50_{what}": statistics.median(values) for what, values in p50.items()}}
        for what in credentials:
            quartiles = statistics.quantiles([a - b for a, b in zip(p50[what], p50["open"])], n=4, method="inclusive")
            numbers.update(zip((f"added_{what}_low", f"added_{what}", f"added_{what}_high"), quartiles))
        return numbers


class Limited(Row):
    """The same location with and without limits of requests, in turns that last a moment, as in Auth: counted in shared memory, and, where there is a redis-server, in
    Redis, beside which stands what a round trip to it takes from here."""
    without = ONLY_GATEWAY
    name, heading = "limited", "two limits of requests, 1 connection"
    sizes = {False: (200, 300), True: (10, 100)}
    metrics = [Metric("ratio_memory", "shared memory: p50, as a multiple of that without", 3, "memory p50 ×"),
               Metric("cpu_memory", "… CPU, as a multiple", 3), Metric("added_memory", "… added p50, µs", 1, "adds µs"),
               Metric("added_memory_low", "… lower quartile"), Metric("added_memory_high", "… upper quartile"),
               Metric("ratio_redis", "Redis: p50, as a multiple of that without", 3, "Redis p50 ×"),
               Metric("cpu_redis", "… CPU, as a multiple", 3), Metric("added_redis", "… added p50, µs", 1, "adds µs"),
               Metric("asked_redis", "… questions to Redis a request", 3), Metric("trip_redis", "… a round trip to it (PING), p50, µs", 1),
               Metric("p50_open", "p50 without, µs", 1, "without")]
    targets = [Target("lost", "loses none", 0), Target("ratio_memory", "shared memory: p50 at most 1.2 times that without", 1.2),
               Target("asked_redis", "one round trip to Redis a request", 1.02)]

    def measure(self, server, folder, size):
        numbers = self._turns(server, os.path.join(folder, "memory"), "memory", [], *size)
        with Redis(os.path.join(folder, "redis-server")) as redis:
            if redis.port:
                before = redis.calls()
                try:
                    found = self._turns(server, os.path.join(folder, "redis"), "redis",
                                        [f"AIGWRedis redis://127.0.0.1:{redis.port}", "AIGWLimitStore redis"], *size)
                except Unavailable as why: # a build without hiredis, or from before there was this
                    return {**numbers, "without_redis": str(why)}
                # those of the turn to warm up as well
                numbers.update({k: v for k, v in found.items() if k.endswith("_redis")}, lost=numbers["lost"] + found["lost"],
                               asked_redis=(redis.calls() - before) / (size[1] * (size[0] + 1)), trip_redis=redis.round_trip())
        return numbers

    @staticmethod
    def _turns(server, folder, store, lines, turns, requests):
        p50, cpu, lost = {"open": [], "limited": []}, {"open": 0, "limited": 0}, 0
        with Session(server, folder, Shape(limits=lines)) as session:
            for turn in range(turns + 1):
                for what in sorted(p50, reverse=turn % 2):
                    said, used = session.load(["--path", f"/{what}/v1/chat/completions", "--model", "near", "--json", "--keep-alive", "--streams", 1,
                                               "--total", requests])
                    lost += said["lost"]
                    if turn:
                        p50[what].append(said["latency_us"]["p50"])
                        cpu[what] += used["cpu_s"]
        pairs = list(zip(p50["limited"], p50["open"]))
        low, middle, high = statistics.quantiles([a - b for a, b in pairs], n=4, method="inclusive")
        return {"lost": lost, "turns": turns, "p50_open": statistics.median(p50["open"]), f"ratio_{store}": statistics.median(a / b for a, b in pairs),
                f"cpu_{store}": cpu["limited"] / cpu["open"] if cpu["open"] else None,
                f"added_{store}_low": low, f"added_{store}": middle, f"added_{store}_high": high}


ROWS = [row() for row in (Streams5000, Streams9500, Memory, MemoryTLS, Requests1, Requests64, Pace64, Leave, Lookup, Limit, Auth, Limited)]
