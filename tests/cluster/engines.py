"""The engines: how each runs its example on a local cluster of several workers."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "engines"
ENGINES = ["ray", "daft", "spark"]

MEMORY = 300 << 20
"""Bytes of Ray's store of objects, a machine of the cluster."""


@contextlib.contextmanager
def cluster(engine):
    """The environment in which a program of `engine` finds a cluster of two workers, and what starts it."""
    bin = pathlib.Path(sys.executable).parent
    environment = dict(os.environ, PATH=f"{bin}:{os.environ['PATH']}")
    if engine == "spark":
        # A program started so has its own cluster: two processes that run a task at a time, and what leads them.
        environment |= {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
        yield environment, ["spark-submit", "--master", "local-cluster[2,1,1024]"]
        return
    # Daft's own runner is one process on one machine: across machines it runs on Ray, too.
    from ray.cluster_utils import Cluster

    # Ray's workers stand behind everything else that a machine does, which takes forever on one that is busy.
    os.environ["RAY_worker_niceness"] = "0"
    # A core for what reads and writes, and one on each of two more machines.
    machine = {"num_cpus": 1, "object_store_memory": MEMORY}
    machines = Cluster(initialize_head=True, head_node_args=machine)
    try:
        for _ in range(2):
            machines.add_node(**machine)
        machines.wait_for_nodes()
        yield environment | {"RAY_ADDRESS": machines.address, "DAFT_RUNNER": "ray"}, [sys.executable]
    finally:
        machines.shutdown()


def example(engine, environment, start, folder, output):
    """Starts the engine's example."""
    return subprocess.Popen(
        [*start, EXAMPLES / f"{engine}_label.py", folder, output],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def workers():
    """The worker processes of this environment's package: their ids, and their parents', which are the engine's."""
    found = {}
    own = str(pathlib.Path(sys.executable).parents[1]).encode()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            line = (process / "cmdline").read_bytes()
            if b"__worker" in line and own in line:
                found[int(process.name)] = int(fields(process.name)[1])
    return found


def fields(process):
    """What the system tells of a process, from its state on."""
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def cpu(process):
    """Seconds of processor time that a process took; none where it is gone."""
    try:
        told = fields(process)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def memory(process):
    """Bytes of a process that aren't a file's or shared."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


class Sampled:
    """What a process was seen to use: its age when it was seen first and last, and samples of its memory."""

    def __init__(self, process):
        self.process = process
        self.first = self.last = (time.monotonic(), cpu(process))
        self.memory = []

    def look(self):
        """Takes a sample."""
        used, spent = memory(self.process), cpu(self.process)
        if used and spent:
            self.memory.append(used)
            self.last = (time.monotonic(), spent)

    def cores(self):
        """Cores that it kept busy in the mean."""
        return (self.last[1] - self.first[1]) / max(self.last[0] - self.first[0], 1e-9)
