# SPDX-License-Identifier: Apache-2.0
"""Prints what PyTorch finds in a file of torch.save: one line per leaf, bytes of tensors in hexadecimal.

    describe_torch_file.py FILE [--weights-only]       exits with 77 if PyTorch is not installed
"""
import sys

try:
    import torch
except ImportError:
    sys.exit(77)


def describe(path, value):
    if isinstance(value, dict):
        print(f"{path}: {type(value).__name__} of {len(value)}")
        for key, inner in value.items():
            describe(f"{path}/{key}", inner)
    elif isinstance(value, torch.Tensor):
        raw = bytes(value.contiguous().flatten().view(torch.uint8).tolist()) if value.numel() and value.dim() else b""
        print(f"{path}: {value.dtype} {tuple(value.shape)} {value.stride()} {value.device} {value.requires_grad} "
              f"{raw.hex() if value.dim() else value.item()}")
    else:
        print(f"{path}: {type(value).__name__} {value!r}")


describe("", torch.load(sys.argv[1], map_location="cpu", weights_only="--weights-only" in sys.argv))
