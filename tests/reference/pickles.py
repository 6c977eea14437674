"""Writes pickles/: weights as PyTorch saves them, and what must be refused. Needs torch; made with torch 2.15."""

import os
import pathlib

import torch

FOLDER = pathlib.Path(__file__).parent / "pickles"


def numbers(*shape, dtype=torch.float32):
    """0, 1/8, 2/8 and so on: exact in every type."""
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float32) / 8).reshape(shape).to(dtype)


class Unit(torch.nn.Module):
    """Parameters, a buffer, and the `_metadata` that a module's state carries."""

    def __init__(self):
        super().__init__()
        self.single = torch.nn.Parameter(numbers(2, 3))
        self.small = torch.nn.Parameter(numbers(5, dtype=torch.float16))
        self.wide = torch.nn.Parameter(numbers(4, dtype=torch.bfloat16))
        self.register_buffer("steps", torch.tensor(3))


class Attack:
    """What a pickle from a stranger could do to a Python program."""

    def __reduce__(self):
        return os.system, ("touch pickle_ran",)


def main():
    FOLDER.mkdir(exist_ok=True)
    state = Unit().state_dict()
    whole = numbers(6)
    state["turned"] = numbers(2, 3).t()
    state["first"], state["rest"] = whole[:2], whole[2:]
    state["parameter"] = torch.nn.Parameter(numbers(2))
    torch.save(state, FOLDER / "weights.bin")
    torch.save(state, FOLDER / "old.bin", _use_new_zipfile_serialization=False)
    torch.save({"weights": dict(state), "epoch": 3}, FOLDER / "checkpoint.bin")
    torch.save(torch.nn.Linear(2, 1), FOLDER / "module.bin")
    torch.save({"x": numbers(2), "y": Attack()}, FOLDER / "attack.bin")
    torch.save({"x": numbers(2, dtype=torch.complex64)}, FOLDER / "complex.bin")
    torch.save({"x": numbers(1).expand(1000)}, FOLDER / "spread.bin")


if __name__ == "__main__":
    main()
