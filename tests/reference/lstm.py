#!/usr/bin/env python3
"""Records what PyTorch's LSTM answers on sequences of unlike length: lstm.safetensors.

    pip install torch numpy
    python lstm.py

Two layers; steps behind a sequence's length are left out by packing, their outputs are 0. `grad.*` are the
gradients of sum(output * probe).
"""
import os

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import save

torch.manual_seed(0)
net = torch.nn.LSTM(input_size=5, hidden_size=4, num_layers=2, batch_first=True)
x = torch.randn(3, 7, 5, requires_grad=True)
lengths = torch.tensor([7, 4, 1])
packed = pack_padded_sequence(x, lengths, batch_first=True)
output, _ = pad_packed_sequence(net(packed)[0], batch_first=True)
probe = torch.randn(output.shape)
(output * probe).sum().backward()

recorded = {"input": x, "lengths": lengths, "output": output, "probe": probe, "grad.input": x.grad}
for name, value in net.named_parameters():
    recorded[name] = value
    recorded["grad." + name] = value.grad
recorded = {name: value.detach().numpy() for name, value in recorded.items()}
save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "lstm.safetensors"), recorded)
