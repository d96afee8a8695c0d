# SPDX-License-Identifier: Apache-2.0
"""Records CAT-Seg in geometries that the authors' numbers leave out, from our PyTorch reference.

    python3 tests/reference/record_geometries.py [OUTPUT_DIRECTORY]

Writes geometries.json and geometries.safetensors (see tests/data/oracle/README.md). The reference agrees with the
authors in every case that was recorded from them (cat_seg_reference.py). Numbers are those of an fp64 run; `fp32_err`
is how far PyTorch's own fp32 run is from it.
"""
import copy
import json
import math
import pathlib
import sys

import numpy as np
import torch

import cat_seg_reference
import safetensors_format

DATA = pathlib.Path(__file__).parents[1] / "data/oracle"
WHOLE, SAMPLE = 4000, 1500
HEAD = "sem_seg_head.predictor.transformer."
CLIP = "sem_seg_head.predictor.clip_model."
# What is recorded of every case; of "faint", everything.
RECORDED = ("pre.resized", "clip.input", "clip.tokens", "agg.classes", "agg.layer0.swin1", "agg.layer0.swin2",
            "agg.layer0.pooled", "agg.layer0.class", "agg.layer1.swin2", "agg.layer1.pooled", "agg.layer1.class",
            "logits", "out.before_postprocess", "out.sem_seg", "out.argmax", "out.postprocess_args")

# Weights so small, and keys so negative, that what is normalised is no larger than the epsilons.
FAINT_SCALED = {
    **{CLIP + k: 2.0 ** -7 for k in (
        "visual.conv1.weight", "visual.class_embedding", "visual.positional_embedding", "visual.ln_pre.weight",
        "visual.ln_pre.bias", "visual.transformer.resblocks.0.attn.out_proj.weight",
        "visual.transformer.resblocks.0.attn.out_proj.bias", "token_embedding.weight", "positional_embedding")},
    **{HEAD + k: 2.0 ** -7 for k in (
        "conv1.weight", "conv1.bias", "guidance_projection.0.weight", "guidance_projection.0.bias",
        "layers.0.swin_block.block_1.attn.proj.weight", "layers.0.swin_block.block_1.attn.proj.bias",
        "decoder1.conv.double_conv.0.weight", "decoder1.conv.double_conv.3.weight",
        "decoder2.conv.double_conv.0.weight", "decoder2.conv.double_conv.3.weight")},
}
FAINT_ADDED = {HEAD + f"layers.{i}.attention.attention.{m}.bias": -8.0 for i in (0, 1) for m in "qk"}

# name: classes of which authors' case, how many of them, and what differs from case c3.
CASES = {
    # Pictures lower or narrower than the map of logits, 24 x 24.
    "low": ("c3", 3, {"image": "img_20x150", "pooling": [1, 1]}),
    "narrow": ("c3", 3, {"image": "img_110x150", "cut": [110, 11], "pooling": [1, 1]}),
    "small": ("c3", 3, {"image": "img_96x96", "cut": [5, 7], "height": 31, "width": 22}),
    "low_slide": ("c3", 3, {"image": "img_20x150", "pooling": [1, 1],
                            "sliding": {"kernel": 96, "overlap": 0.333, "out_res": [160, 160], "stride": 64}}),
    # Shifts other than half a window.
    "shift0": ("c3", 3, {"shift": 0}),
    "shift2": ("c3", 3, {"shift": 2}),
    "grid8_shift1": ("c3", 3, {"input_resolution": 128, "token_grid": 8, "window": 4, "shift": 1, "pooling": [1, 2]}),
    "grid8_shift3": ("c3", 3, {"input_resolution": 128, "token_grid": 8, "window": 4, "shift": 3, "pooling": [1, 2]}),
    # Pooling that does not divide the map: rows and columns are dropped.
    "pool4": ("c3", 3, {"pooling": [4, 4]}),
    "pool5_2": ("c3", 3, {"pooling": [5, 2]}),
    "pool4_full": ("c3", 3, {"pooling": [4, 5], "attention": "full"}),
    "grid8_pool3_5": ("c3", 3, {"input_resolution": 128, "token_grid": 8, "window": 4, "shift": 3,
                                "pooling": [3, 5]}),
    # Sizes of the shortest-edge resize that have to be rounded up, one at the limit of the long side.
    "resized": ("c3", 3, {"image": "img_113x171", "shortest_edge": [150, 640], "height": 113, "width": 171}),
    "resized_long": ("c3", 3, {"image": "img_20x150", "shortest_edge": [40, 253], "height": 20, "width": 150}),
    # Few padding classes, and more classes than those.
    "pad8": ("c20", 5, {"pad_len": 8}),
    "pad8_cut": ("c20", 12, {"pad_len": 8, "pooling": [1, 1]}),
    "faint": ("c3", 3, {"pad_len": 8, "scaled": FAINT_SCALED, "added": FAINT_ADDED}),
}


def stride_for(shape):
    """Smallest odd stride that leaves at most SAMPLE elements and has no factor in common with any extent."""
    stride = -(-math.prod(shape) // SAMPLE) | 1
    while any(math.gcd(stride, extent) != 1 for extent in shape if extent > 1):
        stride += 2
    return stride


def changed(case, weights):
    """The weights of a case, in fp32."""
    result = dict(weights)
    for key, factor in case.get("scaled", {}).items():
        result[key] = np.array(result[key]) * np.float32(factor)
    for key, term in case.get("added", {}).items():
        result[key] = np.array(result[key]) + np.float32(term)
    return result


def run(case, weights, ids, images, dtype):
    """-> every intermediate tensor of a case, computed in dtype."""
    torch.set_default_dtype(dtype)
    g = cat_seg_reference.flatten_geometry(case)
    g["vocabulary"] = weights[CLIP + "token_embedding.weight"].shape[0]
    model = cat_seg_reference.CatSeg(g).to(dtype).load(changed(case, weights))
    # fp32 constants in both runs, as in the authors' code.
    model.mean, model.std = (torch.tensor(v, dtype=torch.float32).view(3, 1, 1).to(dtype)
                             for v in (cat_seg_reference.CLIP_MEAN, cat_seg_reference.CLIP_STD))
    got = {}
    image = images[case["image"]]
    if "cut" in case:
        image = image[:case["cut"][0], :case["cut"][1]]
    if case["shortest_edge"]:
        got["pre.resized"] = image = cat_seg_reference.shortest_edge(image, *case["shortest_edge"])
    pixels = torch.from_numpy(image.astype(np.float64)).to(dtype).permute(2, 0, 1)
    size = [case["height"] or image.shape[0], case["width"] or image.shape[1]]
    cut = list(image.shape[:2])
    with torch.no_grad():
        text = model.text_features(torch.from_numpy(ids), got.__setitem__)
        if case["sliding"]:
            s = case["sliding"]
            cut = s["out_res"]
            out = model.sliding(pixels, text, *size, s["kernel"], s["overlap"], s["out_res"], got.__setitem__)
        else:
            out = model.whole(pixels, text, *size, got.__setitem__)
    torch.set_default_dtype(torch.float32)
    got.update({"out.sem_seg": out, "out.argmax": out.argmax(0).to(torch.uint8),
                "out.postprocess_args": torch.tensor(cut + size, dtype=torch.int32)})
    return {k: np.ascontiguousarray(v) for k, v in got.items()}


def main(output):
    authors = json.loads((DATA / "cases.json").read_text("utf-8"))
    recorded = safetensors_format.read(DATA / "cases.safetensors")
    images = safetensors_format.read(DATA / "images.safetensors")
    weights = safetensors_format.read(DATA / "weights.safetensors")
    weights = {k: v for k, v in weights.items() if not k.startswith("p3/")}
    cases, packed = {}, {}
    for name, (words, count, changes) in CASES.items():
        case = {**copy.deepcopy(authors["c3"]), "classes": authors[words]["classes"][:count], **changes}
        for key in ("tensors", "derived", "seed", "argmax_pixels_that_differ_fp32_vs_fp64"):
            case.pop(key, None)
        ids = np.array(recorded[f"{words}/text.tokens"], np.int64)[:count]
        exact, rounded = (run(case, weights, ids, images, dtype) for dtype in (torch.float64, torch.float32))
        entries = case["tensors"] = {"text.tokens": {"shape": list(ids.shape), "stride": 1}}
        packed[f"{name}/text.tokens"] = ids.astype(np.int32)
        worst = 0
        for key, array in exact.items():
            if key not in RECORDED and name != "faint":
                continue
            entry = entries[key] = {"shape": list(array.shape), "stride": 1}
            if array.dtype.kind == "f":
                entry["max_abs"] = float(np.abs(array).max())
                entry["fp32_err"] = float(np.abs(array - rounded[key]).max())
                worst = max(worst, entry["fp32_err"] / entry["max_abs"])
                array = array.astype(np.float32)
            elif key == "agg.classes":
                array = array.astype(np.int32)
            if array.size > WHOLE and key != "out.argmax":
                entry["stride"] = stride_for(array.shape)
                packed[f"{name}/{key}@{entry['stride']}"] = array.reshape(-1)[::entry["stride"]]
            else:
                packed[f"{name}/{key}"] = array
        cases[name] = case
        differ = int((exact["out.argmax"] != rounded["out.argmax"]).sum())
        print(f"{name:15s} {len(entries):3d} tensors, fp32 beside fp64: worst share of a magnitude {worst:.1e}, "
              f"labels differ in {differ} of {exact['out.argmax'].size} pixels")
    lines = ",\n".join(json.dumps(n) + ": " + json.dumps(c, ensure_ascii=False) for n, c in cases.items())
    (output / "geometries.json").write_text("{\n" + lines + "\n}\n", "utf-8")
    safetensors_format.write(output / "geometries.safetensors", packed)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
