"""Processes of a benchmark: started in sessions of their own, watched in /proc, stopped by their number."""
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


def _die_with_parent():
    # should this script be killed with -9, nothing it started is left
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def start(command, log, **more):
    """Starts a command; what it says goes to the file log unless stdout is given."""
    with open(log, "ab") as out:
        more = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, **more}
        process = subprocess.Popen(command, start_new_session=True, preexec_fn=_die_with_parent, **more)
    _running.append(process)
    return process


def stop(process, patience=10):
    """TERM, and after a while KILL to it and to its children."""
    if process.poll() is None:
        family = tree(process.pid)
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            for pid in family + tree(process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    if process in _running:
        _running.remove(process)


def stop_all():
    for process in list(_running):
        stop(process, 3)


def wait_calm(port):
    """A moment, until no client's connection is half closed: httpd's event MPM may crash at a stop then (docs/faults.md)."""
    def calm():
        with open("/proc/net/tcp", encoding="ascii") as f:
            sockets = [line.split() for line in list(f)[1:]]
        # its address is the second column, then comes its state: 01 is open on both sides, 0A listens; one that is closed has no inode
        return not [s for s in sockets if s[1].endswith(f":{port:04X}") and s[3] not in ("01", "0A") and s[9] != "0"]
    wait_until(calm, 2)


def free_port():
    """Below those that the kernel gives to clients, of which a benchmark has thousands."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def wait_until(what, seconds, process=None):
    """Calls what() until it returns something true, which is returned; None if it does not, or the process has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and (process is None or process.poll() is None):
        result = what()
        if result:
            return result
        time.sleep(0.02)
    return None


# --- /proc ------------------------------------------------------------------------------------------------------------------------------

def _stat(pid):
    """(parent, seconds of CPU, the same of its children that it has waited for); None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    times = [int(x) / TICKS for x in fields[11:15]]
    return int(fields[1]), times[0] + times[1], times[2] + times[3]


def tree(pid):
    """The process and all that descend from it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(name)
            if stat:
                parents.setdefault(stat[0], []).append(int(name))
    found = [pid]
    for one in found:
        found.extend(parents.get(one, []))
    return found


def parent(pid):
    stat = _stat(pid)
    return stat[0] if stat else None


def cpu_seconds(pid):
    """What the process and its children have used, those that have ended too."""
    stats = [s for s in map(_stat, tree(pid)) if s]
    return sum(s[1] + s[2] for s in stats)


def _sum(pid, file, key):
    total = 0
    for one in tree(pid):
        try:
            with open(f"/proc/{one}/{file}", encoding="ascii", errors="replace") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith(key))
        except OSError:
            pass
    return total


def threads(pid):
    return _sum(pid, "status", "Threads:")


def pss_kb(pid):
    """Memory in KB; what several processes share is counted once."""
    return _sum(pid, "smaps_rollup", "Pss:")


def rss_kb(pid):
    return _sum(pid, "smaps_rollup", "Rss:")
