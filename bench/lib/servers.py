"""What is compared: the gateway, plain httpd with mod_proxy_http, nginx, HAProxy, and nothing at all. Each is started anew for each measurement."""
import http.client
import json
import math
import os
import pwd
import resource
import shutil
import ssl
import subprocess

from . import process

CONF = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "conf")
PATH = "/v1/chat/completions"
THREADS = 25            # of a gateway's child, as in conf/quickstart.conf
FILES_A_STREAM = 3      # client, eventfd, upstream
SPARE_FILES = 200       # logs, libraries, listeners, idle connections


class Unavailable(Exception):
    """A server that is not installed, or does not start; says why."""


def open_files():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def server_user():
    """Whose name children bear when root starts them; None for a plain user."""
    if os.getuid():
        return None
    for name in ("www-data", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    return None


def certificate(folder):
    """A certificate and its key in one file, made once a run."""
    pem = os.path.join(folder, "server.pem")
    if not os.path.exists(pem):
        key, crt = pem + ".key", pem + ".crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", crt], check=True, capture_output=True)
        with open(pem, "w", encoding="ascii") as out:
            for name in (crt, key):
                with open(name, encoding="ascii") as f:
                    out.write(f.read())
        os.chmod(pem, 0o644)
    return pem


class Shape:
    """What a server has to be ready for."""

    def __init__(self, streams=0, tls=False, auth_keys=None, limits=None, tasks=None):
        self.streams, self.tls, self.auth_keys = streams, tls, auth_keys   # auth_keys: a key file, of the gateway's
        self.limits = limits                                               # lines beside conf/limits.conf; None: no limits
        self.tasks = tasks                                                 # lines beside conf/tasks.conf; None: no tasks

    def includes(self):
        """What the gateway's configuration has besides."""
        lines = [f'Include "{os.path.join(CONF, "auth.conf")}"'] if self.auth_keys else []
        for name, more in (("limits.conf", self.limits), ("tasks.conf", self.tasks)):
            if more is not None:
                lines += [f'Include "{os.path.join(CONF, name)}"', *more]
        return "\n".join(lines)


class Server:
    """One of those that are compared. A subclass says what is started and with which configuration."""
    name = title = template = None
    tls = True

    def __init__(self, tools, build=None):
        self.tools, self.build = tools, build or tools  # whose load client and model server; whose modules

    def missing(self):
        """Why it cannot take part; None: it can."""
        return None

    def values(self, shape):
        return {}

    def command(self, conf, folder):
        raise NotImplementedError

    def version(self):
        return ""

    def start(self, folder, model_port, shape):
        """Writes the configuration into the folder and starts the server. Sets process and port."""
        os.makedirs(folder, exist_ok=True)
        self.port, self.folder = process.free_port(), folder
        values = {"PORT": self.port, "MODEL_PORT": model_port, "RUN": folder, "FILES": open_files(), "CORES": os.cpu_count(),
                  "CERTIFICATE": certificate(folder) if shape.tls else "", **self.values(shape)}
        with open(os.path.join(CONF, self.template), encoding="utf-8") as f:
            text = f.read()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        conf = os.path.join(folder, self.template)
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text)
        self.process = process.start(self.command(conf, folder), os.path.join(folder, "output.log"), cwd=folder)
        if not process.wait_until(lambda: answers(self.port, shape.tls), 20, self.process):
            self.stop()
            raise Unavailable(f"{self.title} does not start or does not answer:\n{self.last_words()}")

    def stop(self):
        process.wait_calm(self.port)
        process.stop(self.process)

    def last_words(self):
        lines = []
        for name in ("output.log", "error.log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    lines += f.read().splitlines()[-8:]
        return "\n".join("  | " + line for line in lines)


def answers(port, tls):
    """Does a question get its answer?"""
    if tls:
        client = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=ssl._create_unverified_context())
    else:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    question = {"model": "bench", "messages": [{"role": "user", "content": "Hi"}]}
    try:
        client.request("POST", PATH, json.dumps(question), {"Content-Type": "application/json"})
        answer = client.getresponse()
        answer.read()
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


# --- httpd ------------------------------------------------------------------------------------------------------------------------------

class Httpd(Server):
    def httpd(self):
        return self.build.value("HTTPD")

    def missing(self):
        return None if os.access(self.httpd(), os.X_OK) else f"{self.httpd()} is not there"

    def command(self, conf, folder):
        return [self.httpd(), "-DFOREGROUND", "-d", folder, "-f", conf]

    def version(self):
        return subprocess.run([self.httpd(), "-v"], capture_output=True, text=True, check=False).stdout.split("\n")[0].partition(": ")[2]

    def values(self, shape):
        user = server_user()
        return {"LIBEXEC": self.build.value("HTTPD_LIBEXECDIR"),
                "USER": f"User {user.pw_name}\nGroup #{user.pw_gid}" if user else "",
                "TLS_MODULE": f'LoadModule ssl_module "{self.build.value("HTTPD_LIBEXECDIR")}/mod_ssl.so"' if shape.tls else "",
                "TLS": f'SSLEngine on\nSSLCertificateFile "{os.path.join(self.folder, "server.pem")}"' if shape.tls else ""}


class Gateway(Httpd):
    name, title, template = "gateway", "mod_aigw", "gateway.conf"

    def __init__(self, tools, build=None, extra=(), children=0, token=None, name="gateway"):
        super().__init__(tools, build)
        self.extra, self.children, self.token, self.name = extra, children, token, name

    def missing(self):
        modules = os.path.join(self.build.folder, "modules", ".libs")
        if not os.path.exists(os.path.join(modules, "mod_aigw.so")):
            return f"no mod_aigw.so in {modules}"
        return super().missing()

    def values(self, shape):
        # httpd counts connections, the limit of open files is a child's: as many children as the streams need
        room = (open_files() - SPARE_FILES) // FILES_A_STREAM
        # for requests as many processes and threads as mod_proxy has
        children = self.children or (max(1, math.ceil(shape.streams * 1.05 / room)) if shape.streams else 4)
        return {**super().values(shape), "MODULES": os.path.join(self.build.folder, "modules", ".libs"), "THREADS": THREADS,
                "CHILDREN": children, "PLACES": 2 * children, "WORKERS": THREADS * children,
                "FACTOR": min(400, (room - THREADS) // THREADS), "INCLUDES": shape.includes(),
                "EXTRA": "\n".join(self.extra)}

    def command(self, conf, folder):
        modules = os.path.join(self.build.folder, "modules", ".libs")
        return [*super().command(conf, folder), "-C", f'Define BENCH_MODULES "{modules}"',
                "-C", f'Define BENCH_LIBEXEC "{self.build.value("HTTPD_LIBEXECDIR")}"', "-C", f'Define BENCH_RUN "{folder}"']


class ModProxy(Httpd):
    name, title, template = "mod_proxy", "httpd mod_proxy_http", "mod_proxy.conf"

    def values(self, shape):
        # a thread a stream; without streams what a 2-core machine is well served with
        threads, children = (1000, max(6, math.ceil(shape.streams / 1000) + 1)) if shape.streams > 200 else (25, 4)
        return {**super().values(shape), "THREADS": threads, "CHILDREN": children, "WORKERS": threads * children}


# --- the others -------------------------------------------------------------------------------------------------------------------------

class Nginx(Server):
    name, title, template = "nginx", "nginx", "nginx.conf"

    def missing(self):
        return None if find("nginx") else "nginx is not installed (Debian: nginx-light)"

    def values(self, shape):
        user = server_user()
        tls = f"ssl_certificate {self.folder}/server.pem; ssl_certificate_key {self.folder}/server.pem;" if shape.tls else ""
        return {"USER": f"user {user.pw_name};" if user else "", "SSL": " ssl" if shape.tls else "", "TLS": tls}

    def command(self, conf, folder):
        # until the configuration is read, messages would go to the system's error.log
        return [find("nginx"), "-p", folder, "-c", conf, "-e", os.path.join(folder, "error.log")]

    def version(self):
        return subprocess.run([find("nginx"), "-v"], capture_output=True, text=True, check=False).stderr.strip().rpartition(": ")[2]


class HAProxy(Server):
    name, title, template = "haproxy", "HAProxy", "haproxy.cfg"

    def missing(self):
        return None if find("haproxy") else "HAProxy is not installed (Debian: haproxy)"

    def values(self, shape):
        return {"SSL": f" ssl crt {self.folder}/server.pem" if shape.tls else "", "MAXCONN": (open_files() - SPARE_FILES) // 2}

    def command(self, conf, folder):
        return [find("haproxy"), "-db", "-f", conf]

    def version(self):
        words = subprocess.run([find("haproxy"), "-v"], capture_output=True, text=True, check=False).stdout.split()
        return f"HAProxy {words[2]}" if len(words) > 2 else "HAProxy"


class Direct(Server):
    """No server: the client talks to the model server. What is left of a number then is client, kernel and model server."""
    name, title = "direct", "direct"
    tls = False

    def start(self, folder, model_port, shape):
        self.port, self.process = model_port, None

    def stop(self):
        pass


class Model:
    """The model server, anew for each measurement."""

    def __init__(self, tools, folder):
        self.process = process.start([tools.program("aigw-model")], os.path.join(folder, "model.log"), stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def stats(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        client.request("GET", "/stats")
        stats = json.loads(client.getresponse().read())
        client.close()
        return stats

    def stop(self):
        process.stop(self.process)


class Build:
    """A configured and built folder of the gateway's."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)

    def value(self, name):
        """What configure found out."""
        with open(os.path.join(self.folder, "Makefile"), encoding="utf-8") as f:
            for line in f:
                if line.startswith(name + " = "):
                    return line.partition(" = ")[2].strip()
        raise Unavailable(f"{self.folder}/Makefile does not say what {name} is")

    def program(self, name):
        return os.path.join(self.folder, "bench", name)
