"""The same job with the parts that a Python user would pick: PyAV decodes, onnxruntime runs the very network."""

import json

import av
import numpy
import onnxruntime

from classify_video._results import ClipLabels, Label
from classify_video._table import label


class Peer:
    """Stands where `classify_video._engine.Tables` stands, on `threads` threads. `model`: what `classify export` wrote."""

    def __init__(self, model, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.threads = threads
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        told = self.session.get_modelmeta().custom_metadata_map
        self.labels = json.loads(told["labels"])
        self.lag = json.loads(told["sampling"]).get("luma_lag")
        preprocess = json.loads(told["preprocessor_config"])
        self.mean, self.std = (numpy.float32(preprocess[name]) * 255 for name in ("image_mean", "image_std"))
        _, self.frames, _, self.size, _ = self.session.get_inputs()[0].shape

    def label(self, table):
        return label(table, lambda clips: (self.answer(clip) for clip in clips))

    def answer(self, clip):
        frames = self.decode(clip.path)
        pixels = (frames.astype(numpy.float32) - self.mean) / self.std
        logits = self.session.run(None, {"frames": numpy.ascontiguousarray(pixels.transpose(0, 3, 1, 2))[None]})[0][0]
        scores = numpy.exp(logits - logits.max())
        scores /= scores.sum()
        best = [Label(self.labels[i], float(scores[i])) for i in scores.argsort()[::-1][:5]]
        return ClipLabels(clip.name, tuple(best), None, 0.0, len(frames), "peer", ())

    def decode(self, path):
        """uint8 [frames, size, size, 3] from the middles of equal parts of the clip. Black bars stay."""
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = self.threads
            decoded = list(container.decode(stream))
        times = numpy.array([frame.time for frame in decoded]) - decoded[0].time
        duration = times[-1] + 1 / float(stream.average_rate)
        moments = (numpy.arange(self.frames) + 0.5) * duration / self.frames
        if self.lag:
            moments = numpy.stack([moments - self.lag, moments, moments + self.lag], axis=1)
        shown = numpy.searchsorted(times, moments.clip(0, duration) + 1e-6, side="right") - 1
        images = {number: self.image(decoded[number]) for number in numpy.unique(shown)}
        if not self.lag:
            return numpy.stack([images[number] for number in shown])
        # The brightness of three moments in the place of red, green and blue.
        bright = {number: image @ numpy.array([77, 150, 29], numpy.uint16) >> 8 for number, image in images.items()}
        of_frame = [numpy.stack([bright[number] for number in three], axis=-1) for three in shown]
        return numpy.stack(of_frame).astype(numpy.uint8)

    def image(self, frame):
        """uint8 [size, size, 3]: short side scaled, the middle cut out."""
        scale = self.size / min(frame.width, frame.height)
        width, height = (max(self.size, round(side * scale)) for side in (frame.width, frame.height))
        image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return image[top : top + self.size, left : left + self.size]
