# SPDX-License-Identifier: Apache-2.0
"""Records the image encoder of the tiny CLIP on pictures that are not square, from our PyTorch reference.

    python3 tests/reference/record_encoder.py [OUTPUT]

Writes tests/data/checkpoints/tiny_oblong.safetensors (see the README there). Numbers are those of an fp64 run.
"""
import json
import pathlib
import sys

import numpy as np
import torch

import cat_seg_reference
import safetensors_format

DATA = pathlib.Path(__file__).parents[1] / "data/checkpoints"
SHAPES = {"high": (20, 12), "wide": (8, 28), "whole": (16, 16)}


@torch.no_grad()
def main():
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "tiny_oblong.safetensors"
    geometry = json.loads((DATA / "tiny.json").read_text())
    geometry = geometry.get("geometry", geometry)
    weights = {k: torch.tensor(np.array(v)) for k, v in safetensors_format.read(DATA / "tiny_clip.safetensors").items()}
    model = cat_seg_reference.Clip(geometry)
    model.load_state_dict(weights)
    visual = model.double().visual
    random = np.random.default_rng(15)
    tensors = {}
    for name, (height, width) in SHAPES.items():
        pixels = random.normal(size=(2, height, width, 3)).astype(np.float32)
        planar = torch.tensor(pixels).double().permute(0, 3, 1, 2)
        rows, columns = height // geometry["patch"], width // geometry["patch"]
        maps = lambda tokens: tokens[:, 1:].reshape(2, rows, columns, -1).numpy().astype(np.float32)
        tokens, hooks = visual(planar, dense=True, hooked=(0, 1))
        tensors[name + ".pixels"] = pixels
        tensors[name + ".dense"] = maps(tokens)
        for i, hook in enumerate(hooks):
            tensors[f"{name}.level{i}"] = maps(hook.transpose(0, 1))
        tensors[name + ".embedding"] = model.encode_image(planar).numpy().astype(np.float32)
    safetensors_format.write(output, tensors, {"torch": torch.__version__.split("+")[0]})


if __name__ == "__main__":
    main()
