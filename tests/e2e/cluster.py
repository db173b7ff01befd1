"""cluster.py: private PostgreSQL servers and real Selaras processes, for quickstart and the tests.

A Run has a folder of its own (under /tmp, short paths: a Unix socket's path ends at 107 bytes), listens on Unix sockets
there and on one reserved TCP port, and ends everything it started: when it is closed, when Python exits, on a signal, and
by PR_SET_PDEATHSIG even when Python is killed. PostgreSQL refuses to run as root, so as root everything runs as the user
`postgres`; as anybody else it simply runs. Two runs side by side do not meet.
"""

import atexit
import ctypes
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH_BYTES_MAX = 48         # of the run folder, so that sockets in it stay below 107
START_SECONDS = 30
STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1

AGENCY_SETTINGS = {"wal_level": "logical", "max_slot_wal_keep_size": "1GB", "timezone": "Asia/Makassar"}


class Failed(Exception):
    """Something did not happen; the text says what, and where to look."""


def postgres_programs():
    """The folder of PostgreSQL's own programs."""
    for version in ("15", "16", "17"):
        folder = f"/usr/lib/postgresql/{version}/bin"
        if os.access(f"{folder}/initdb", os.X_OK):
            return folder
    found = shutil.which("initdb")
    if found:
        return os.path.dirname(found)
    raise Failed("PostgreSQL's initdb was not found: install the package postgresql-15")


def wait_for(what, condition, seconds=30, every=0.05):
    """Calls `condition` until it returns something true, which is returned."""
    until = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > until:
            raise Failed(f"{what}: did not happen within {seconds} seconds")
        time.sleep(every)


def unprivileged_user():
    """Who the servers run as: None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failed("running as root, and there is no user postgres to drop to: install the package postgresql-15")


def everybody_may_enter(folder):
    """Whether any user can reach what is in this folder."""
    place = os.path.realpath(folder)
    while os.stat(place).st_mode & stat.S_IXOTH:
        if place == "/":
            return True
        place = os.path.dirname(place)
    return False


def short_temporary_folder():
    """A folder for run folders that is short enough and that another user can pass through."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(folder) <= PATH_BYTES_MAX - 17 and everybody_may_enter(folder):
            return folder
    raise Failed("no temporary folder with a short path that everybody may enter: set TMPDIR=/tmp")


def end_with_parent(end_signal, parent):
    """Runs in the child: when Python dies, however it dies, so does the child."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, int(end_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Process:
    """A child process whose output goes to a log file in the run folder."""

    def __init__(self, run, name, argv, end_signal=signal.SIGKILL, environment=None):
        assert threading.current_thread() is threading.main_thread(), "PDEATHSIG goes by the thread that forks"
        self.run, self.name, self.argv = run, name, argv
        self.log = f"{run.folder}/log/{name}.log"
        user = {}
        if run.user:
            user = {"user": run.user.pw_uid, "group": run.user.pw_gid, "extra_groups": []}
        prepare = None if run.keep else end_with_parent(end_signal, os.getpid())
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=run.folder,
                env={**run.environment, **(environment or {})}, start_new_session=True, preexec_fn=prepare, **user)
        run.processes.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def wait(self, seconds=STOP_SECONDS):
        """Its exit status, negative for a signal; Failed when it does not end."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds} seconds; its log is {self.log}") from None

    def kill(self):
        """kill -9, and gone when this returns."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self, number=signal.SIGTERM, seconds=STOP_SECONDS):
        """Asks it to end; kills what does not."""
        self.send(number)
        try:
            return self.wait(seconds)
        except Failed:
            self.kill()
            raise

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def tail(self, lines=15):
        return "\n".join(self.text().splitlines()[-lines:])

    def must_live(self):
        if not self.alive():
            raise Failed(f"{self.name} ended with status {self.popen.returncode}; the end of {self.log}:\n{self.tail()}")


class Postgres:
    """A PostgreSQL cluster of its own: data and socket in a folder of the run, no TCP."""

    def __init__(self, run, name, settings=None):
        self.run, self.name = run, name
        self.folder = f"{run.folder}/{name}"
        self.data = f"{self.folder}/data"
        self.process = None
        self.programs = postgres_programs()
        self.settings = {
            "listen_addresses": "", "unix_socket_directories": self.folder, "unix_socket_permissions": "0700",
            "fsync": "on", "shared_buffers": "64MB", "max_connections": "40", "logging_collector": "off",
            "log_line_prefix": "%m [%p] %a ", "lc_messages": "C.UTF-8", "timezone": "UTC", "jit": "off",
            **(settings or {})}

    def create(self):
        """Starts initdb; created() waits for it. So several can be made at once."""
        self.run.make_folder(self.folder)
        return self.run.start(f"{self.name}-initdb", [
            f"{self.programs}/initdb", "-D", self.data, "-U", "postgres", "-k", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync"])

    def created(self, process):
        if process.wait(120) != 0:
            raise Failed(f"initdb for {self.name} failed; the end of {process.log}:\n{process.tail()}")
        with open(f"{self.data}/postgresql.auto.conf", "a", encoding="utf-8") as file:
            for name, value in self.settings.items():
                file.write(f"{name} = '{value}'\n")

    def start(self):
        """Starts the server; ready() waits for it."""
        self.process = self.run.start(f"{self.name}-postgres", [f"{self.programs}/postgres", "-D", self.data],
                                      end_signal=signal.SIGQUIT)

    def ready(self):
        def answers():
            self.process.must_live()
            return self.query("postgres", "SELECT 1", check=False) is not None
        wait_for(f"PostgreSQL of {self.name} answers", answers, START_SECONDS)

    def stop(self, number=signal.SIGINT):
        """SIGINT is a fast shutdown, SIGQUIT an immediate one (it recovers at the next start)."""
        self.process.stop(number, 60)

    def dsn(self, database, user="postgres"):
        return f"host={self.folder} dbname={database} user={user}"

    def psql(self, database, user="postgres"):
        return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", user, "-d", database]

    def query(self, database, sql, check=True):
        """Runs SQL by psql, in one transaction when there are several statements: rows as tuples of text, NULL as None."""
        done = subprocess.run(
            [*self.psql(database), "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-P", "null=\x1d", "-c", sql],
            capture_output=True, text=True, env=self.run.environment, check=False)
        if done.returncode != 0:
            if not check:
                return None
            raise Failed(f"{self.name}: {done.stderr.strip()}\n  in: {sql.strip()[:400]}")
        output = done.stdout.removesuffix("\n").removesuffix("\x1e")
        if not output:
            return []
        return [tuple(None if value == "\x1d" else value for value in row.split("\x1f")) for row in output.split("\x1e")]

    def value(self, database, sql):
        rows = self.query(database, sql)
        if not rows:
            raise Failed(f"{self.name}: no row\n  in: {sql.strip()[:400]}")
        return rows[0][0]

    def script(self, database, path):
        done = subprocess.run([*self.psql(database), "-1", "-f", path], capture_output=True, text=True,
                              env=self.run.environment, check=False)
        if done.returncode != 0:
            raise Failed(f"{self.name}: {done.stderr.strip()[:2000]}")


class Run:
    """Everything one story or test starts, and the folder it lives in."""

    live = []

    def __init__(self, build=None, keep=False):
        self.build = os.path.abspath(build or os.environ.get("SELARAS_BUILD") or f"{ROOT}/build")
        self.keep = keep
        self.user = unprivileged_user()
        self.processes = []
        self.environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
                            **{name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "GCOV_PREFIX")
                               if name in os.environ}}
        self.folder = tempfile.mkdtemp(prefix="selaras-", dir=short_temporary_folder())
        self.own(self.folder)
        self.make_folder(f"{self.folder}/log")
        self.port_guard, self.port = self.reserve_port()
        Run.live.append(self)

    # Folder

    def own(self, path):
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def own_file(self, path):
        """An empty file."""
        with open(path, "w", encoding="utf-8"):
            self.own(path)

    def make_folder(self, path):
        os.makedirs(path, mode=0o700, exist_ok=True)
        self.own(path)
        return path

    def write(self, name, text, mode=0o600):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        self.own(path)
        return path

    @staticmethod
    def reserve_port():
        """A free TCP port that stays ours: bound, never listened on, and shared with the broker by SO_REUSEADDR, which ZeroMQ
        sets too. So it is still ours while the broker is dead."""
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        guard.bind(("127.0.0.1", 0))
        return guard, guard.getsockname()[1]

    # Processes

    def program(self, name):
        """Path of a program of ours that the user the daemons run as can start: a clone below /root is closed to others, so
        then it is a copy in the run folder."""
        for folder in ("daemon", "agents", "cli"):
            path = f"{self.build}/{folder}/{name}"
            if os.access(path, os.X_OK):
                return path if not self.user or everybody_may_enter(os.path.dirname(path)) else self.copy_program(path)
        raise Failed(f"{name} is not built in {self.build}: meson setup build && meson compile -C build")

    def copy_program(self, path):
        copy = f"{self.make_folder(f'{self.folder}/bin')}/{os.path.basename(path)}"
        if not os.path.exists(copy):
            shutil.copy2(path, copy)
            self.own(copy)
        return copy

    def start(self, name, argv, **options):
        return Process(self, name, argv, **options)

    def call(self, argv, check=True, seconds=60, text=None):
        """Runs a program of ours to its end, as the user the daemons run as: (status, output, error output)."""
        user = {}
        if self.user:
            user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        try:
            done = subprocess.run(argv, capture_output=True, text=True, input=text, cwd=self.folder, env=self.environment,
                                  timeout=seconds, check=False, preexec_fn=end_with_parent(signal.SIGKILL, os.getpid()),
                                  **user)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(argv)}: did not end within {seconds} seconds") from None
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout, done.stderr

    def complaints(self):
        """What no log may hold: sanitizers' reports and failed assertions, each with the log it stands in."""
        found = []
        for path in sorted({process.log for process in self.processes if not process.name.endswith("-postgres")}):
            with open(path, encoding="utf-8", errors="replace") as log:
                found += [f"{path}: {line.strip()}" for line in log
                          if "Sanitizer" in line or "runtime error:" in line or "Assertion" in line]
        return found

    def detach(self):
        """Leaves everything running (--keep, once all went well) and returns the script that ends it."""
        Run.live.remove(self)
        return write_stop(self)

    def end(self, remove=True):
        """Ends every process, at once; removes the folder unless it is wanted for its logs. Safe to call twice. Failed when a
        log holds what no log may hold: then the folder stays."""
        for process in reversed(self.processes):
            process.send(signal.SIGQUIT if process.name.endswith("-postgres") else signal.SIGKILL)
        for process in self.processes:
            try:
                process.wait(10)
            except Failed:
                process.kill()
        self.port_guard.close()
        complaints = self.complaints() if self in Run.live else []
        if self in Run.live:
            Run.live.remove(self)
        if complaints:
            raise Failed("\n  ".join(["a program says that it is broken:"] + complaints))
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.end()


STOP_SCRIPT = """#!/bin/sh
# Ends what runs in this folder and removes it. A process is known by its number and the moment it started.
cd / || exit 1
same() {  # PID START
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    start=$2
    set -- ${stat##*) }
    [ "$1" != Z ] && shift 19 && [ "$1" = "$start" ]
}
end() {  # SIGNAL PID START
    same "$2" "$3" && kill "-$1" "$2" || return 0
    tries=0
    while same "$2" "$3" && [ $tries -lt 150 ]; do sleep 0.1; tries=$((tries + 1)); done
    same "$2" "$3" && kill -KILL "$2"
}
@PROCESSES@
rm -rf "@FOLDER@"
"""


def start_time(pid):
    """When a process started, in the kernel's ticks; its number alone may be another's by now."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[19]


def write_stop(run):
    ends = [f"end {'INT' if process.name.endswith('-postgres') else 'TERM'} {process.pid} {start_time(process.pid)}"
            f"  # {process.name}" for process in reversed(run.processes) if process.alive()]
    text = STOP_SCRIPT.replace("@PROCESSES@", "\n".join(ends)).replace("@FOLDER@", run.folder)
    return run.write("stop", text, mode=0o700)


def end_all():
    for run in list(Run.live):
        run.end(remove=False)


def on_signal(number, frame):
    sys.exit(128 + number)      # runs finally blocks and atexit


def catch_signals():
    """So that SIGTERM and SIGHUP end like an exception, not like a power cut."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


atexit.register(end_all)
