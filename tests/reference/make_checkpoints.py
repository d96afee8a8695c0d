# SPDX-License-Identifier: Apache-2.0
"""Writes one very small model in every container and naming the readers know.

    python3 tests/reference/make_checkpoints.py [OUTPUT_DIRECTORY]
"""
import argparse
import collections
import datetime
import json
import pathlib
import re
import sys
import types

import numpy as np
import torch

import cat_seg_reference
import compact_oracle
import safetensors_format
import seeded_weights
import torch_containers

SEED = 7
CLASSES = ["cat", "stone wall, rampart", "sky"]
TEMPLATE = "A photo of a {} in the scene"
CORPUS = "a photo of a cat in the scene; a photo of the stone wall and the sky; a dog on the grass at sea, an image of stones"
MERGES = 40


def learn_merges():
    """A vocabulary of our own: plain byte-pair learning on one sentence, ties broken by spelling."""
    words = [tuple(w[:-1]) + (w[-1] + "</w>",) for w in re.findall(r"[a-z]+", CORPUS)]
    merges = []
    while len(merges) < MERGES:
        counts = collections.Counter(pair for w in words for pair in zip(w, w[1:]))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        for i, word in enumerate(words):
            parts, j = [], 0
            while j < len(word):
                both = word[j:j + 2] == best
                parts.append("".join(best) if both else word[j])
                j += 2 if both else 1
            words[i] = tuple(parts)
    return merges


def geometry():
    return dict(image_width=16, image_layers=3, image_heads=2, patch=4, pos_grid=4, text_width=8, text_layers=1,
                text_heads=2, context=77, embed=12, vocabulary=514 + MERGES, input_resolution=24, token_grid=6,
                hooked_blocks=[0, 1], guidance_widths=[8, 4], hidden=8, heads=2, pooling=[1, 1], window=3, shift=1,
                attention="linear", pad_len=256, text_proj=6, appearance_proj=4, decoder=[16, 16], decoder_proj=[4, 4],
                size_divisibility=4, prompts=1)


def hugging_face(clip):
    """OpenAI's names and layouts -> those of transformers.CLIPModel, with the integer buffers of old files."""
    out = {}
    renamed = [("visual.conv1.", "vision_model.embeddings.patch_embedding."),
               ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
               ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
               ("visual.ln_pre.", "vision_model.pre_layrnorm."), ("visual.ln_post.", "vision_model.post_layernorm."),
               ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
               ("visual.proj", "visual_projection.weight"), ("text_projection", "text_projection.weight"),
               ("transformer.resblocks.", "text_model.encoder.layers."), ("ln_final.", "text_model.final_layer_norm."),
               ("token_embedding.", "text_model.embeddings.token_embedding."),
               ("positional_embedding", "text_model.embeddings.position_embedding.weight")]
    inner = [(".attn.out_proj.", ".self_attn.out_proj."), (".ln_1.", ".layer_norm1."), (".ln_2.", ".layer_norm2."),
             (".mlp.c_fc.", ".mlp.fc1."), (".mlp.c_proj.", ".mlp.fc2.")]
    for name, value in clip.items():
        new = name
        for old, to in renamed:
            if name.startswith(old):
                new = to + name[len(old):]
                break
        for old, to in inner:
            new = new.replace(old, to)
        if new.endswith("projection.weight"):
            value = np.ascontiguousarray(value.T)
        joint = re.fullmatch(r"(.*)\.attn\.in_proj_(weight|bias)", new)
        if joint:
            for letter, part in zip("qkv", np.split(value, 3)):
                out[f"{joint[1]}.self_attn.{letter}_proj.{joint[2]}"] = part
        else:
            out[new] = value
    for tower in ("text", "vision"):
        rows = len(out[f"{tower}_model.embeddings.position_embedding.weight"])
        out[f"{tower}_model.embeddings.position_ids"] = np.arange(rows, dtype=np.int64)[None]
    return out


def hugging_face_config(g):
    def tower(prefix, **more):
        width = g[prefix + "_width"]
        return dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=g[prefix + "_layers"],
                    num_attention_heads=g[prefix + "_heads"], hidden_act="quick_gelu", layer_norm_eps=1e-5, **more)
    return dict(
        model_type="clip", projection_dim=g["embed"],
        text_config=tower("text", vocab_size=g["vocabulary"], max_position_embeddings=g["context"],
                          eos_token_id=g["vocabulary"] - 1),
        vision_config=tower("image", image_size=g["patch"] * g["pos_grid"], patch_size=g["patch"]))


def open_clip_text(clip):
    """The names of open_clip's CustomTextCLIP: the text tower below `text.`."""
    return {k if k.startswith("visual.") or k == "logit_scale" else "text." + k: v for k, v in clip.items()}


def foreign_class():
    """An instance of a class that no reader can import: a dictionary with attributes, as configuration nodes are."""
    module = sys.modules["training_config"] = types.ModuleType("training_config")
    module.Node = type("Node", (dict,), {"__module__": module.__name__})
    node = module.Node(MODEL=module.Node(NAME="tiny"), SEED=SEED)
    node.frozen = True
    return node


def training_checkpoint(state):
    """The layout of a detectron2 training checkpoint: model, trainer with optimizer and hooks, iteration; plus clutter."""
    trained = [torch.nn.Parameter(state[k].clone()) for k in state if ".layers.0.attention.norm" in k]
    optimizer = torch.optim.AdamW([{"params": [p], "lr": 2e-4} for p in trained], weight_decay=1e-4)
    for parameter in trained:
        parameter.grad = torch.full_like(parameter, 0.01)
    optimizer.step()
    schedule = {"base_lrs": [2e-4], "last_epoch": 10, "_last_lr": [np.float64(1.9e-4)]}
    return {
        "model": state,
        "trainer": {"iteration": 9, "hooks": {"LRScheduler": schedule, "PeriodicCheckpointer": {}},
                    "_trainer": {"iteration": 9, "optimizer": optimizer.state_dict(),
                                 "grad_scaler": {"scale": 65536.0, "_growth_tracker": 0}}},
        "iteration": 9,
        "extra": {"options": argparse.Namespace(resume=False, gpus={0, 1}), "config": foreign_class(),
                  "when": datetime.datetime(2024, 4, 11), "path": pathlib.PurePosixPath("output/model_0000009.pth"),
                  "counter": collections.Counter(steps=10), "history": np.arange(3.0), "big": 2 ** 70, "note": b"bytes"},
    }


def expected_results(g, weights, clip, out):
    """One run of the reference on a picture made by a formula."""
    y, x, c = np.meshgrid(np.arange(40), np.arange(52), np.arange(3), indexing="ij")
    image = ((37 * y + 11 * x * (c + 1) + 5 * ((x * y) // 7)) % 256).astype(np.uint8)
    tokenizer = compact_oracle.Tokenizer(out / "merges.txt")
    ids = np.array([tokenizer(TEMPLATE.format(name.split(", ")[0])) for name in CLASSES], np.int32)
    model = cat_seg_reference.CatSeg(g).load(weights)
    plain = cat_seg_reference.Clip(dict(g, input_resolution=16)).eval()
    plain.load_state_dict(torch_containers.state_dict(clip))
    taps = {}
    with torch.no_grad():
        tokens = torch.from_numpy(ids).long()
        text = model.text_features(tokens)
        pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)
        whole = model.whole(pixels, text, 40, 52, taps.__setitem__)
        sliding = model.sliding(pixels, text, 40, 52, 24, 0.333, (40, 40))
        crop = (pixels[:, 12:28, 18:34] - model.mean) / model.std
        scores = plain(crop[None], tokens)
    safetensors_format.write(out / "tiny_expected.safetensors", {
        "image": image, "tokens": ids, "text": text[:, 0].numpy(), "logits": taps["logits"][0].numpy(),
        "whole": whole.numpy()[:, ::3, ::3].copy(), "sliding": sliding.numpy()[:, ::3, ::3].copy(),
        "clip_scores": scores[0].numpy()})


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "data/checkpoints")
    out.mkdir(parents=True, exist_ok=True)
    g = geometry()
    merges = learn_merges()
    (out / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), "utf-8")

    # What OpenAI stores in fp16 is rounded to fp16, so that every container can hold exactly the same values.
    weights = seeded_weights.cat_seg_weights(g, SEED)
    for name, value in weights.items():
        if name.startswith(seeded_weights.CLIP) and seeded_weights.is_half(name.removeprefix(seeded_weights.CLIP)):
            weights[name] = value.astype(np.float16).astype(np.float32)
    inside = {k.removeprefix(seeded_weights.CLIP): v for k, v in weights.items() if k.startswith(seeded_weights.CLIP)}
    clip = seeded_weights.join_attention(inside)
    state = cat_seg_reference.CatSeg(g).load(weights).state_dict()

    (out / "tiny.json").write_text(json.dumps({**g, "seed": SEED, "classes": CLASSES, "template": TEMPLATE}, indent=1)
                                   + "\n")
    safetensors_format.write(out / "tiny.safetensors", weights, {"format": "pt"})
    save = torch_containers.save
    save(out / "tiny_zip.pth", {"model": state, "iteration": 0})
    save(out / "tiny_legacy.pth", {"model": state, "iteration": 0}, legacy=True)
    torch.save(state, str(out / "tiny_statedict.pth"))
    save(out / "tiny_trainer.pth", training_checkpoint(state))

    safetensors_format.write(out / "tiny_clip.safetensors", clip)
    torch_containers.save_openai_archive(out / "tiny_openai.pt", dict(g, input_resolution=g["patch"] * g["pos_grid"]),
                                         clip)
    safetensors_format.write(out / "tiny_hf.safetensors", hugging_face(clip), {"format": "pt"})
    (out / "tiny_hf.config.json").write_text(json.dumps(hugging_face_config(g), indent=1) + "\n")
    save(out / "tiny_openclip.bin", {"epoch": 1, "name": "tiny", "state_dict": collections.OrderedDict(
        ("module." + k, v) for k, v in torch_containers.state_dict(clip).items())})
    safetensors_format.write(out / "tiny_openclip_text.safetensors", open_clip_text(clip))
    expected_results(g, weights, clip, out)
    print(sum(p.stat().st_size for p in out.iterdir()), "bytes")


if __name__ == "__main__":
    main()
