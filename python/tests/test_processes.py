"""Processes: those that die, are copied, or are told to end."""

import os
import signal
import subprocess
import sys
import threading
import time

from classify_video import ClipLabels, FailedClip, Model
from conftest import FAST, workers


def test_a_killed_worker_costs_its_clip_alone(samples):
    own = Model(FAST, threads=2)
    killed = []

    def kill():
        while not killed:
            for worker in workers():
                # In the middle of a clip: not while it loads its model.
                if time.process_time() and cpu(worker) > 0.5:
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    answers = list(own.classify_many(samples * 20, on_error="row"))
    killer.join()
    failed = [answer for answer in answers if isinstance(answer, FailedClip)]
    assert len(answers) == 60 and len(failed) == 1, failed
    assert "signal 9" in failed[0].error
    assert [answer.path for answer in answers] == samples * 20
    assert isinstance(own.classify(samples[0]), ClipLabels)


def cpu(process):
    """Seconds of processor time that `process` took."""
    try:
        fields = open(f"/proc/{process}/stat").read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_workers_end_with_their_model(samples):
    own = Model(FAST, threads=1)
    before = set(workers())
    own.classify(samples[0])
    [worker] = set(workers()) - before
    del own
    for _ in range(100):
        if worker not in workers():
            return
        time.sleep(0.05)
    raise AssertionError("the worker is still there")


def test_a_copied_process_has_workers_of_its_own(samples):
    own = Model(FAST, threads=1)
    expected = own.classify(samples[0])
    copy = os.fork()
    if copy == 0:
        os._exit(0 if own.classify(samples[0]) == expected else 1)
    assert own.classify(samples[0]) == expected
    _, status = os.waitpid(copy, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert own.classify(samples[0]) == expected


ENDLESS = f"""
import itertools, sys, classify_video
model = classify_video.Model({FAST!r}, threads=2)
for clip in model.classify_many(itertools.repeat(sys.argv[1])):
    print(clip.label, flush=True)
"""


def test_ctrl_c_ends_it(samples):
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, samples[0]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline()
    begin = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    assert "KeyboardInterrupt" in child.stderr.read()
    assert child.wait() in (-signal.SIGINT, 130, 1)
    assert time.monotonic() - begin < 10


def test_the_command_says_what_it_is(command):
    assert command("--version").stdout.startswith("classify ")
    refused = command("no-such.mp4")
    assert refused.returncode == 2 and "no-such.mp4" in refused.stderr
    assert command().returncode == 2
    assert "classify train" in command("train", "-h").stdout
