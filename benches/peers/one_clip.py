#!/usr/bin/env python3
"""One clip from the shell to its label with onnxruntime: the model exported before, no torch.

    one_clip.py MODEL.onnx FRAMES SIZE CLIP
"""
import sys

import av
import numpy as np
import onnxruntime as ort


def picture(frame, size):
    """uint8 [size, size, 3]: short side scaled, centre crop."""
    k = size / min(frame.width, frame.height)
    w, h = max(size, round(frame.width * k)), max(size, round(frame.height * k))
    x = frame.reformat(width=w, height=h, format="rgb24").to_ndarray()
    top, left = (h - size) // 2, (w - size) // 2
    return x[top : top + size, left : left + size]


def decode(path, frames, size):
    """uint8 [frames, size, size, 3] spread over the clip."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        decoded = list(container.decode(stream))
    wanted = np.linspace(0, len(decoded) - 1, frames).round().astype(int)
    return np.stack([picture(decoded[i], size) for i in wanted])


if __name__ == "__main__":
    model, frames, size, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    pixels = decode(path, frames, size)
    x = np.ascontiguousarray(((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2))
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    scores = session.run(None, {"x": x})[0]
    print(int(scores.argmax()), float(scores.max()))
