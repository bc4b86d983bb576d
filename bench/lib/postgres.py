"""A PostgreSQL of the benchmark's own, with its usual fsync; without one there is nothing to be measured."""
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

from . import process


def _folder():
    """Where the newest one's programs are."""
    found = [os.path.dirname(path) for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    return max(found, key=lambda folder: int(folder.split("/")[-2])) if found else None


class Postgres:
    """While it lasts it runs on 127.0.0.1. port 0: there is none here."""

    def __init__(self, log_folder):
        self.log, self.bin, self.port, self.process, self.folder = os.path.join(log_folder, "postgres.log"), _folder(), 0, None, None
        # PostgreSQL refuses to be root
        self.user = [] if os.getuid() else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]

    def __enter__(self):
        if not self.bin:
            return self
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="aigw-pg-")
        if self.user:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        data = os.path.join(self.folder, "data")
        subprocess.run([*self.user, f"{self.bin}/initdb", "-D", data, "-U", "aigw", "-A", "trust", "-E", "UTF8", "--locale=C"], check=True,
                       capture_output=True, cwd=self.folder)
        port = process.free_port()
        self.process = process.start([*self.user, "setpriv", "--pdeathsig", "QUIT", f"{self.bin}/postgres", "-D", data, "-p", str(port), "-k",
                                      self.folder, "-c", "listen_addresses=127.0.0.1"], self.log, cwd=self.folder)
        if process.wait_until(lambda: self._answers(port), 60, self.process):
            self.port = port
        return self

    def __exit__(self, *_):
        if self.process:
            process.stop(self.process)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self, port):
        return subprocess.run([f"{self.bin}/psql", "-qAtX", "-h", "127.0.0.1", "-p", str(port), "-U", "aigw", "postgres", "-c", "SELECT 1"],
                              capture_output=True, check=False, env={**os.environ, "PGCONNECT_TIMEOUT": "5"}).returncode == 0

    def conninfo(self):
        return f"host=127.0.0.1 port={self.port} user=aigw dbname=postgres"
