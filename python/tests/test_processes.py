"""Processes: those that die, are copied, or are told to end."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from classify_video import ClipError, ClipLabels, FailedClip, Model
from conftest import FAST, workers


def test_a_killed_worker_costs_its_clip_alone(samples):
    own, others, killed = Model(FAST, threads=2), set(workers()), []

    def kill():
        while not killed:
            for worker in set(workers()) - others:
                # It is at its clips, not loading its model any more.
                if cpu(worker) > 0.5:
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    answers = []
    while not killed:
        answers += own.classify_many(samples * 4, on_error="row")
    killer.join()
    answers += own.classify_many(samples, on_error="row")
    failed = [answer for answer in answers if isinstance(answer, FailedClip)]
    assert len(failed) <= 1, failed
    assert all("signal 9" in answer.error for answer in failed)
    assert [answer.path for answer in answers] == samples * (len(answers) // 3)


def test_a_worker_killed_in_a_clip_is_that_clips_error(samples):
    own, others = Model("kinetics400-i3d", threads=1), set(workers())
    own.classify(samples[2])
    [worker] = set(workers()) - others
    threading.Timer(0.1, os.kill, [worker, signal.SIGKILL]).start()
    with pytest.raises(ClipError, match="balance_beam.mp4: crashed the decoder: .*signal 9"):
        own.classify(samples[0])
    assert isinstance(own.classify(samples[0]), ClipLabels)


def test_a_worker_killed_between_clips_costs_nothing(samples):
    own, others = Model(FAST, threads=1), set(workers())
    expected = own.classify(samples[0])
    [worker] = set(workers()) - others
    os.kill(worker, signal.SIGKILL)
    while worker in workers():
        time.sleep(0.01)
    # Until its last thread is gone, too.
    time.sleep(0.3)
    assert own.classify(samples[0]) == expected


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
import itertools, signal, sys, classify_video
# Whoever runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
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
    failed = command("no-such.mp4")
    assert failed.returncode == 1 and "no-such.mp4: no such file" in failed.stderr
    assert command().returncode == 2
    assert "classify train" in command("train", "-h").stdout
