# SPDX-License-Identifier: Apache-2.0
"""Takes from the acceptance data of the mask models what the tests of words and of outputs need.

    extract_masks.py ORACLE_MASKS_DATA   writes tests/data/masks/{words,outputs}.safetensors and outputs.json
"""
import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

SOURCE = pathlib.Path(sys.argv[1])
TARGET = pathlib.Path(__file__).resolve().parent.parent / "data" / "masks"
HAND_MADE = ["nothing_kept", "overlap_dropped", "ratio_exactly_0.8", "stuff_merged", "tie_first_wins"]
PICTURES = ["convnext_96x128", "convnext_100x140_resized_output"]


def small(array):
    """Flags and small numbers in one byte, other whole numbers in four."""
    if array.dtype.kind in "iu":
        return array.astype(np.uint8 if array.min(initial=0) >= 0 and array.max(initial=0) < 256 else np.int32)
    return array


def words():
    whole = load_file(SOURCE / "fcclip/convnext_96x128.safetensors")
    out = {name: whole[name] for name in ("text.template_rows", "text.rows", "text.rows_with_void")}
    out["text.tokens"] = whole["text.tokens"].astype(np.int32)
    weights = load_file(SOURCE / "weights/fcclip_convnext.safetensors")
    out["void"] = next(t for name, t in weights.items() if name.endswith("void_embedding.weight"))
    decoder = load_file(SOURCE / "decoder/dec3_fc.safetensors")
    for name in ("in.text_rows", "class_embed3", "head3.class_logits"):
        out["decoder." + name] = decoder[name]
    meta = json.loads((SOURCE / "decoder/dec3_fc.json").read_text())
    out["decoder.logit_scale"] = np.array([meta["logit_scale"]], np.float32)
    out["decoder.synonyms_per_class"] = np.array(meta["synonyms_per_class"], np.int32)
    save_file(out, TARGET / "words.safetensors")


def outputs():
    out, cases = {}, {}
    for name in HAND_MADE:
        meta = json.loads((SOURCE / f"post/{name}.json").read_text())
        cases[name] = {key: meta[key] for key in ("things", "object_mask_threshold", "overlap_threshold", "topk", "segments_info")}
        for key, tensor in load_file(SOURCE / f"post/{name}.safetensors").items():
            out[f"{name}/{key}"] = small(tensor)
    for name in PICTURES:
        meta = json.loads((SOURCE / f"fcclip/{name}.json").read_text())
        options = meta["options"]
        cases[name] = {"things": sorted(meta["thing_dataset_id_to_contiguous_id"].values()),
                       "segments_info": meta["segments_info"], "size": meta["size"], "padded_to": meta["padded_to"],
                       "output_size": meta["output_size"], "sem_seg_stride": 7,
                       **{key: options[key] for key in ("object_mask_threshold", "overlap_threshold", "topk")}}
        whole = load_file(SOURCE / f"fcclip/{name}.safetensors")
        renamed = {"class_logits": whole["post.class_log_probs"], "mask_logits": whole["head.mask_logits"][0],
                   "scores": whole["post.scores"], "labels": whole["post.labels"], "panoptic": whole["out.panoptic"],
                   "sem_seg": np.ascontiguousarray(whole["out.sem_seg"].reshape(-1)[::7]),
                   "argmax": whole["out.sem_seg"].argmax(0),
                   "instance_scores": whole["out.instance_scores"], "instance_classes": whole["out.instance_classes"],
                   "instance_query": whole["out.instance_query"], "instance_areas": whole["out.instance_mask_areas"]}
        if "out.instance_masks" in whole:
            renamed["instance_mask_bits"] = np.packbits(whole["out.instance_masks"])
        for key, tensor in renamed.items():
            out[f"{name}/{key}"] = small(np.ascontiguousarray(tensor))
    save_file(out, TARGET / "outputs.safetensors")
    (TARGET / "outputs.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    words()
    outputs()
