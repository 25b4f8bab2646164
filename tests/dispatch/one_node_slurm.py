"""A Slurm of one node for tests: controller, node and munge as processes of this user, on loopback, without accounting.

Nothing of it is left behind. Debian and Ubuntu: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/munge
# a requeued job starts when its old credential has expired: after 120 s unless told otherwise
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
JobRequeue=1
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PropagateResourceLimits=NONE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=short Nodes={host} MaxTime=1 State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=9
"""
# Slurm 22.05 cannot do without a cgroup plugin, and that of version 2 asks for systemd; this one is loaded, not used
CGROUP = "CgroupPlugin=cgroup/v1\n"


def missing() -> str:
    """Why there can be no Slurm here, or nothing."""
    absent = [program for program in PROGRAMS if _find(program) is None]
    if absent:
        return f"needs Slurm and munge; not there: {', '.join(absent)}"
    return "" if os.geteuid() == 0 else "needs root, to start Slurm's daemons"


class OneNodeSlurm:
    """`with OneNodeSlurm() as slurm:`; programs find it by `slurm.environment`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="one-node-slurm-", dir="/tmp"))
        self.folder.chmod(0o755)  # munged serves only from folders that all may enter
        self.configuration = self.folder / "slurm.conf"
        self.environment = {"SLURM_CONF": str(self.configuration)}

    def __enter__(self) -> OneNodeSlurm:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if _alive(self._pid("slurmctld")):
            self.run("scancel", "--quiet", "--user=root", check=False)
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words: str, check: bool = True) -> str:
        """The output of a command of Slurm."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or not check, f"{words}: {done.stderr}\n{self._logs()}"
        return done.stdout

    def jobs(self, *options: str) -> list[str]:
        return self.run("squeue", "--noheader", "--array", "--format=%i", *options).split()

    def _start(self) -> None:
        host = socket.gethostname().partition(".")[0]
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(64))
        key.chmod(0o400)
        controller_port, node_port = _free_ports(2)
        self.configuration.write_text(
            CONFIGURATION.format(
                host=host, folder=self.folder, user="root", cpus=os.cpu_count(),
                controller_port=controller_port, node_port=node_port,
            )
        )  # fmt: skip
        (self.folder / "cgroup.conf").write_text(CGROUP)
        paths = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munge.seed"}  # fmt: skip
        self.run(
            str(_find("munged")), "--force", *(f"--{option}={self.folder / name}" for option, name in paths.items())
        )
        self.run(str(_find("slurmctld")), "-f", str(self.configuration))
        self.run(str(_find("slurmd")), "-f", str(self.configuration), "-N", host)
        until = time.monotonic() + 60
        while "idle" not in self.run("sinfo", "--noheader", "--format=%T", "--partition=main", check=False):
            assert time.monotonic() < until, f"no idle node within a minute\n{self._logs()}"
            _pause()

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            if not _alive(pid):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            until = time.monotonic() + seconds
            while _alive(pid) and time.monotonic() < until:
                _pause()

    def _pid(self, name: str) -> int:
        try:
            return int((self.folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-1000:] for path in sorted(self.folder.glob("*.log")))


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _pause() -> None:
    time.sleep(0.05)
