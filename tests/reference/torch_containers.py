# SPDX-License-Identifier: Apache-2.0
"""Writes weights in the containers PyTorch itself makes."""
import warnings
from collections import OrderedDict

import numpy as np
import torch

import cat_seg_reference
import seeded_weights


def state_dict(tensors):
    return OrderedDict((name, torch.from_numpy(np.array(value))) for name, value in tensors.items())


def save(path, value, legacy=False):
    """`torch.save` through a file object, as detectron2 does it; the zip directory is then called `archive`."""
    with open(path, "wb") as file:
        torch.save(value, file, _use_new_zipfile_serialization=not legacy)


def save_openai_archive(path, g, tensors):
    """A traced CLIP in TorchScript form with OpenAI's attribute tree, its three integer hints and its fp16 / fp32 mix."""
    kind = type("Multimodal", (cat_seg_reference.Clip,), {"__module__": "multimodal.model.multimodal_transformer"})
    model = kind(g).eval()
    for name in ("input_resolution", "context_length", "vocab_size"):
        value = g[{"context_length": "context", "vocab_size": "vocabulary"}.get(name, name)]
        model.register_buffer(name, torch.tensor(value))
    model.load_state_dict(state_dict(tensors), strict=False)
    image = torch.zeros(1, 3, g["input_resolution"], g["input_resolution"])
    tokens = torch.zeros(1, g["context"], dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(model, (image, tokens), check_trace=False)
    for name, parameter in traced.named_parameters():
        if seeded_weights.is_half(name):
            parameter.data = parameter.data.half()
    traced.save(str(path))
