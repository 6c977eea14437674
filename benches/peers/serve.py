#!/usr/bin/env python3
"""The server that people write by hand: FastAPI, PyAV and onnxruntime, on a network that `classify export` wrote.

    python3 -m venv peer && peer/bin/pip install fastapi "uvicorn[standard]" python-multipart av onnxruntime numpy
    peer/bin/python serve.py MODEL.onnx PORT PROCESSES THREADS

THREADS are those of onnxruntime in each process. POST /classify takes the field `file`, as `classify serve` does. Frames
are spread over the clip as the model wants them; black bars stay, which saves it some work.
"""
import json
import os
import sys

import av
import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, HTTPException, UploadFile
from one_clip import picture

app = FastAPI()


def load():
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
    options.log_severity_level = 3
    session = ort.InferenceSession(os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta().custom_metadata_map
    return session, *(json.loads(meta[key]) for key in ("labels", "sampling", "preprocessor_config"))


if "PEER_MODEL" in os.environ:
    session, labels, sampling, preprocess = load()


def frames(file):
    """float32 [1, T, 3, size, size], normalised."""
    with av.open(file, "r") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        decoded = list(container.decode(stream))
        rate = float(stream.average_rate or 25)
    size = preprocess["crop_size"]["height"]
    count = sampling.get("windows", 1) * sampling["frames"]
    last = len(decoded) - 1
    lag = sampling.get("luma_lag")
    seen = {}

    def at(i):
        i = min(max(round(i), 0), last)
        if i not in seen:
            seen[i] = picture(decoded[i], size)
        return seen[i]

    def luma(i):
        return at(i) @ np.array([0.299, 0.587, 0.114], np.float32)

    def look(i):
        return np.stack([luma(i - lag * rate), luma(i), luma(i + lag * rate)], -1) if lag else at(i)

    x = np.stack([look(i) for i in np.linspace(0, last, count)]).astype(np.float32)
    x = (x * preprocess["rescale_factor"] - preprocess["image_mean"]) / preprocess["image_std"]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)[None], np.float32)


# Not async: FastAPI runs it in a thread, beside others.
@app.post("/classify")
def classify(file: UploadFile):
    try:
        x = frames(file.file)
    except (av.FFmpegError, IndexError) as error:
        raise HTTPException(422, str(error)) from error
    logits = session.run(None, {"frames": x})[0][0]
    scores = np.exp(logits - logits.max())
    scores /= scores.sum()
    best = scores.argsort()[::-1][:5]
    return {"labels": [{"label": labels[i], "score": float(scores[i])} for i in best]}


if __name__ == "__main__":
    model, port, processes, threads = sys.argv[1:]
    os.environ.update(PEER_MODEL=model, PEER_THREADS=threads)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    os.environ["PYTHONPATH"] = sys.path[0]
    # A busy process isn't a dead one: by default it is killed after 5 s in which it doesn't answer.
    patience = {"timeout_keep_alive": 600, "timeout_worker_healthcheck": 600}
    uvicorn.run("serve:app", host="127.0.0.1", port=int(port), workers=int(processes), log_level="error", **patience)
