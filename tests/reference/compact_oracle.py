# SPDX-License-Identifier: Apache-2.0
"""Copies the numbers the tests need out of the acceptance oracle into a few small files.

    python3 tests/reference/compact_oracle.py ORACLE_DIRECTORY [OUTPUT_DIRECTORY]

The layout of the output is described in tests/data/oracle/README.md.
"""
import json
import math
import pathlib
import re
import sys

import numpy as np

import safetensors_format

WHOLE = 15000       # tensors up to this many elements are kept whole
ALL_WHOLE = {"c3"}  # of these cases, which record every intermediate tensor, all of them
SAMPLE = 1500       # larger ones keep about this many
RESAMPLE_WHOLE = 12288


def stride_for(shape):
    """Smallest odd stride that leaves at most SAMPLE elements and has no factor in common with any extent."""
    size = math.prod(shape)
    stride = -(-size // SAMPLE) | 1
    while any(math.gcd(stride, extent) != 1 for extent in shape if extent > 1):
        stride += 2
    return stride


class Tokenizer:
    """CLIP's byte-pair encoding without ftfy, enough for the class names of the oracle."""

    def __init__(self, path):
        merges = [tuple(line.split()) for line in path.read_text("utf-8").split("\n")[1:] if line]
        kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
        alphabet = [chr(b) for b in kept] + [chr(256 + i) for i in range(256 - len(kept))]
        symbols = alphabet + [c + "</w>" for c in alphabet] + ["".join(m) for m in merges]
        self.ids = {symbol: i for i, symbol in enumerate(symbols)}
        self.ranks = {merge: i for i, merge in enumerate(merges)}
        self.start, self.end = len(symbols), len(symbols) + 1
        order = kept + [b for b in range(256) if b not in set(kept)]
        self.byte = dict(zip(order, alphabet))

    def word(self, text):
        parts = [self.byte[b] for b in text.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            ranked = [(self.ranks.get(pair, math.inf), pair) for pair in zip(parts, parts[1:])]
            rank, pair = min(ranked)
            if rank == math.inf:
                break
            merged, i = [], 0
            while i < len(parts):
                if tuple(parts[i:i + 2]) == pair:
                    merged.append("".join(pair))
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        return [self.ids[p] for p in parts]

    def __call__(self, text, length=77):
        text = " ".join(text.split()).lower()
        words = re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", text)
        ids = [self.start] + [i for w in words for i in self.word(w)] + [self.end]
        return ids + [0] * (length - len(ids))


def compact_cases(oracle, out):
    tokenizer = Tokenizer(oracle / "data/weights/bpe_510.txt")
    cases, packed = {}, {}
    for path in sorted((oracle / "data/infer").glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        name = case.pop("name")
        spread = case.pop("spread")
        tensors = safetensors_format.read(oracle / "data" / case.pop("tensors"))
        case["image"] = pathlib.Path(case["image"]).stem
        case["weights"] = pathlib.Path(case["weights"]).stem
        case["derived"] = []
        prompts = [case["templates"][0].format(c.split(", ")[0]) for c in case["classes"]]
        if len(case["templates"]) > 1:
            case["prompts"] = [[c, t, template.format(synonym)] for c, names in enumerate(case["classes"])
                               for t, template in enumerate(case["templates"]) for synonym in names.split(", ")]
            prompts = [p[2] for p in case["prompts"]]
        ids = np.array([tokenizer(p) for p in prompts], np.int32)
        if "text.tokens" in tensors:
            assert (tensors["text.tokens"] == ids).all(), name
        else:
            tensors["text.tokens"] = ids
            case["derived"].append("text.tokens")
        entries = {}
        for key, array in tensors.items():
            entry = entries[key] = {"shape": list(array.shape), "stride": 1, **spread.get(key, {})}
            if key == "out.argmax":
                assert array.min() >= 0
                array = array.astype(np.uint8 if len(case["classes"]) <= 255 else np.uint16)
            elif array.dtype.kind == "i":
                array = array.astype(np.int32)
            elif array.size > WHOLE and name not in ALL_WHOLE:
                entry["stride"] = stride_for(array.shape)
                packed[f"{name}/{key}@{entry['stride']}"] = array.reshape(-1)[::entry["stride"]]
                continue
            packed[f"{name}/{key}"] = array
        case["tensors"] = entries
        cases[name] = case
    lines = ",\n".join(json.dumps(n) + ": " + json.dumps(c, ensure_ascii=False) for n, c in cases.items())
    (out / "cases.json").write_text("{\n" + lines + "\n}\n", "utf-8")
    safetensors_format.write(out / "cases.safetensors", packed)


def compact_weights(oracle, out):
    tiny = safetensors_format.read(oracle / "data/weights/tiny.safetensors")
    p3 = safetensors_format.read(oracle / "data/weights/tiny_p3.safetensors")
    assert tiny.keys() == p3.keys()
    differing = [k for k in tiny if tiny[k].shape != p3[k].shape or (tiny[k] != p3[k]).any()]
    assert differing == ["sem_seg_head.predictor.transformer.conv1.weight"], differing
    safetensors_format.write(out / "weights.safetensors", {**tiny, "p3/" + differing[0]: p3[differing[0]]})


def compact_resampling(oracle, out):
    packed, dropped = {}, []
    tensors = safetensors_format.read(oracle / "data/preproc/interpolate.safetensors")
    for group in dict.fromkeys(k.removesuffix(".in").removesuffix(".out").removesuffix(".merged_sum") for k in tensors):
        members = {k: v for k, v in tensors.items() if k == group or k.startswith(group + ".")}
        if max(v.size for v in members.values()) > RESAMPLE_WHOLE:
            dropped.append(group)
        else:
            packed.update(members)
    pil = safetensors_format.read(oracle / "data/preproc/pil_resize.safetensors")
    info = json.loads((oracle / "data/preproc/preproc.json").read_text("utf-8"))
    cases = [c for c in info["pil_cases"] if pil["in." + c["key"]].size + pil["out." + c["key"]].size <= 47000]
    for case in cases:
        for side in ("in.", "out."):
            packed[f"pil.{case['key']}.{side[:-1]}"] = pil[side + case["key"]]
    safetensors_format.write(out / "resample.safetensors", packed)
    (out / "resample.json").write_text(json.dumps({
        "pil_cases": cases, "shapes": info["shapes"], "shapes_columns":
        ["height", "width", "short", "longest", "new_height", "new_width"],
        "interp_fp32_err": {k: v for k, v in info["interp_fp32_err"].items() if k not in dropped}}) + "\n")
    print("resampling cases dropped:", *dropped)


def main():
    oracle = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parents[1] / "data/oracle")
    out.mkdir(parents=True, exist_ok=True)
    compact_cases(oracle, out)
    compact_weights(oracle, out)
    compact_resampling(oracle, out)
    safetensors_format.write(out / "images.safetensors", {
        p.stem: np.load(p) for p in sorted((oracle / "data/images").glob("*.npy"))})
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:9d} {path}")


if __name__ == "__main__":
    main()
