# SPDX-License-Identifier: Apache-2.0
"""Records a few numbers of the full-size models with seeded weights, so that the presets can be checked at full size.

    python3 tests/reference/record_full_size.py [OUTPUT_DIRECTORY]

Writes full_size.json and full_size.safetensors (see tests/data/oracle/README.md). Takes some minutes and 12 GB.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch

import cat_seg_reference
import safetensors_format
import seeded_weights

SEED = 20240607
SAMPLE = 96
IDS = [[49406, 320, 1125, 539, 320, 2368, 530, 518, 3562, 49407],
       [49406, 320, 1125, 539, 320, 2569, 530, 518, 3562, 49407],
       [49406, 320, 1125, 539, 320, 3399, 1395, 530, 518, 3562, 49407]]
TAPS = ["clip.input", "clip.patch_embed", "clip.pos_embed_resized", "clip.ln_pre", "clip.block0", "clip.tokens",
        "guide.res4", "guide.res5", "text.raw", "text.features", "agg.corr", "agg.corr_embed", "agg.guidance",
        "agg.text_guidance", "agg.layer0.spatial", "agg.layer0.class", "agg.layer1.spatial", "agg.layer1.class",
        "dec.out1", "dec.out2", "logits", "out.sem_seg"]


def picture(side=384):
    y, x, c = np.meshgrid(np.arange(side), np.arange(side), np.arange(3), indexing="ij")
    return ((37 * y + 11 * x * (c + 1) + 5 * (x * y // 7)) % 256).astype(np.float32)


def stride_for(shape):
    stride = -(-math.prod(shape) // SAMPLE) | 1
    while any(math.gcd(stride, extent) != 1 for extent in shape if extent > 1):
        stride += 2
    return stride


def run(g, weights, dtype):
    torch.set_default_dtype(dtype)
    model = cat_seg_reference.CatSeg(g).load(weights).to(dtype)
    # fp32 constants in both runs, as in the authors' code.
    model.mean, model.std = (torch.tensor(v, dtype=torch.float32).view(3, 1, 1).to(dtype)
                             for v in (cat_seg_reference.CLIP_MEAN, cat_seg_reference.CLIP_STD))
    tokens = torch.zeros(len(IDS), 77, dtype=torch.int64)
    for row, ids in zip(tokens, IDS):
        row[:len(ids)] = torch.tensor(ids)
    taps = {}
    with torch.no_grad():
        text = model.text_features(tokens, taps.__setitem__)
        image = torch.from_numpy(picture()).permute(2, 0, 1).to(dtype)
        taps["out.sem_seg"] = model.whole(image, text, 384, 384, taps.__setitem__)
    torch.set_default_dtype(torch.float32)
    return {name: taps[name].detach().numpy() for name in TAPS}


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "data/oracle")
    packed, record = {}, {"seed": SEED, "token_ids": IDS, "picture": "u8 [384, 384, 3], "
                          "value(y, x, c) = (37 y + 11 x (c + 1) + 5 floor(x y / 7)) mod 256", "models": {}}
    for name, g in seeded_weights.CAT_SEG_MODELS.items():
        weights = seeded_weights.cat_seg_weights(g, SEED)
        single, double = (run(g, weights, dtype) for dtype in (torch.float32, torch.float64))
        entries = {}
        for key in TAPS:
            a, b = single[key].astype(np.float64), double[key]
            stride = stride_for(a.shape)
            entries[key] = {"shape": list(a.shape), "stride": stride, "sum": float(b.sum()),
                            "sum_abs": float(np.abs(b).sum()), "max_abs": float(np.abs(b).max()),
                            "fp32_err": float(np.abs(a - b).max())}
            packed[f"{name}/{key}@{stride}"] = single[key].reshape(-1)[::stride]
        record["models"][name] = {"weights": f"write_full_size.py --model {name}", "tensors": entries,
                                  "labels": np.bincount(single["out.sem_seg"].argmax(0).ravel(), minlength=3).tolist()}
    (out / "full_size.json").write_text(json.dumps(record) + "\n")
    safetensors_format.write(out / "full_size.safetensors", packed)
    for name in ("full_size.json", "full_size.safetensors"):
        print(name, (out / name).stat().st_size)


if __name__ == "__main__":
    main()
