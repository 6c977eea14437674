"""Records what Pillow and the image processors of transformers make of small pictures, and says how far torchvision is
from Pillow: python resample.py (numpy, pillow, safetensors, torch, torchvision, transformers)."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms.v2 import functional
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

plain = {"do_rescale": False, "do_normalize": False}
crop = {"height": 16, "width": 16}
processors = {
    "videomae": VideoMAEImageProcessorPil(size={"shortest_edge": 18}, crop_size={"height": 15, "width": 16}, **plain),
    "clip": CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=crop, **plain),
    "siglip": SiglipImageProcessorPil(size=crop, **plain),
}
modes = {1: "LANCZOS", 2: "BILINEAR", 3: "BICUBIC"}

random = np.random.default_rng(7)
tensors, torchvision = {}, 0
# Smaller, larger, and smaller by a little; width and height.
for name, (width, height), target in [("a", (37, 29), (17, 13)), ("b", (9, 13), (15, 17)), ("c", (17, 14), (16, 13))]:
    # Full of contrast, so that filters overshoot, with a smooth part.
    picture = random.choice(np.array([0, 20, 128, 255], np.uint8), (height, width, 3))
    picture[: height // 2, : width // 2] = np.linspace(0, 255, width // 2, dtype=np.uint8)[None, :, None]
    tensors[f"{name}.picture"] = picture
    for resample in range(6):
        resized = np.asarray(Image.fromarray(picture).resize(target, resample))
        tensors[f"{name}.{resample}"] = resized
        if resample in modes:
            mode = getattr(functional.InterpolationMode, modes[resample])
            planes = torch.from_numpy(picture).permute(2, 0, 1)
            other = functional.resize(planes, list(target[::-1]), interpolation=mode, antialias=True)
            far = np.abs(other.permute(1, 2, 0).numpy().astype(int) - resized.astype(int)).max()
            torchvision = max(torchvision, far)
    for kind, processor in processors.items():
        pixels = np.asarray(processor(Image.fromarray(picture), return_tensors="np")["pixel_values"])
        pixels = pixels.reshape(3, *pixels.shape[-2:]).transpose(1, 2, 0)
        tensors[f"{name}.{kind}"] = np.ascontiguousarray(pixels.astype(np.uint8))
save_file(tensors, Path(__file__).with_suffix(".safetensors"))
Path(__file__).with_suffix(".safetensors").chmod(0o644)
print(f"torchvision differs from Pillow by {torchvision} of 255 at most")
