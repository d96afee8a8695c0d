# SPDX-License-Identifier: Apache-2.0
"""Records the losses of 20 steps of fine-tuning CAT-Seg on one fixed batch, in fp32 and in fp64.

    python3 tests/reference/training_curve.py [OUTPUT_FILE]

The batch is tests/data/oracle/train/batch.safetensors, the weights those of case c3, the prompts those of case
`pipeline`. Trained are the head and the query and value projections of CLIP, in the authors' parameter groups, with
their learning rate and with ten times that. Checks the first loss against the authors' own. `spread` says how well
the losses are determined: the largest relative difference of each in fp64 runs whose weights start 1e-6 of their value
away, about what rounding does to them in the first step. It grows when an activation crosses the kink of a ReLU.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import cat_seg_reference
import safetensors_format

DATA = pathlib.Path(__file__).parents[1] / "data"
STEPS = 20
LEARNING_RATES = {"rate_x1": 2e-4, "rate_x10": 2e-3}
PERTURBATION, PERTURBED_RUNS = 1e-6, 6
CLIP_MULTIPLIER = 0.01
WEIGHT_DECAY = 1e-4
MAX_GRADIENT_NORM = 0.01
UNKNOWN = 255


def trains(name):
    """The authors' CLIP_FINETUNE "attention": names as in the checkpoint."""
    if "clip_model." not in name:
        return True
    inner = name.split("clip_model.")[1]
    return "transformer" in inner and "attn." in inner and ("q_proj" in inner or "v_proj" in inner)


def parameter_groups(model, learning_rate):
    """One group per tensor; the gains and biases of norms and the embeddings do not decay."""
    groups = []
    for path, module in model.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            name = f"{path}.{key}" if path else key
            parameter.requires_grad = trains(name)
            if parameter.requires_grad:
                kept = isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.Embedding))
                groups.append({"params": [parameter], "weight_decay": 0.0 if kept else WEIGHT_DECAY,
                               "lr": learning_rate * (CLIP_MULTIPLIER if "clip_model" in name else 1)})
    return groups


def loss_of(model, images, labels, tokens):
    """Binary cross-entropy over all classes and pixels; pixels of no class count as absent for each class."""
    x = (images.permute(0, 3, 1, 2) - model.mean) / model.std
    logits = model.logits(model.encoder_input(x), model.text_features(tokens))
    logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    target = torch.stack([labels == c for c in range(logits.shape[1])], 1).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target)


def perturbed(weights, seed):
    random = np.random.default_rng(seed)
    return {k: np.array(v) * (1 + PERTURBATION * random.standard_normal(v.shape)) if v.dtype.kind == "f" else v
            for k, v in weights.items()}


def run(g, weights, tokens, learning_rate, dtype):
    """The losses before each step and the gradient norms."""
    torch.set_default_dtype(dtype)
    model = cat_seg_reference.CatSeg(g).to(dtype).load(weights)
    # fp32 constants in both runs, as in the authors' code.
    model.mean, model.std = (torch.tensor(v, dtype=torch.float32).view(3, 1, 1).to(dtype)
                             for v in (cat_seg_reference.CLIP_MEAN, cat_seg_reference.CLIP_STD))
    batch = safetensors_format.read(DATA / "oracle/train/batch.safetensors")
    images = torch.from_numpy(np.array(batch["images"])).to(dtype)
    labels = torch.from_numpy(np.array(batch["sem_seg"]))
    assert set(labels.unique().tolist()) <= {*range(len(tokens)), UNKNOWN}
    groups = parameter_groups(model, learning_rate)
    assert len(groups) == 144
    optimizer = torch.optim.AdamW(groups, learning_rate)
    rates = [group["lr"] for group in groups]
    losses, norms = [], []
    for step in range(STEPS):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.zero_grad()
        loss = loss_of(model, images, labels, tokens)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_([g["params"][0] for g in groups], MAX_GRADIENT_NORM).item())
        optimizer.step()
        losses.append(loss.item())
    torch.set_default_dtype(torch.float32)
    return losses, norms


def main(output):
    cases = json.loads((DATA / "oracle/cases.json").read_text("utf-8"))
    tensors = safetensors_format.read(DATA / "oracle/weights.safetensors")
    weights = {k: v for k, v in tensors.items() if not k.startswith("p3/")}
    tokens = np.array(safetensors_format.read(DATA / "oracle/cases.safetensors")["pipeline/text.tokens"], np.int64)
    g = cat_seg_reference.flatten_geometry(cases["c3"])
    g["vocabulary"] = weights["sem_seg_head.predictor.clip_model.token_embedding.weight"].shape[0]
    authors = json.loads((DATA / "oracle/train/train.json").read_text("utf-8"))
    tokens = torch.from_numpy(tokens)
    result = {"steps": STEPS, "clip_multiplier": CLIP_MULTIPLIER, "weight_decay": WEIGHT_DECAY,
              "max_gradient_norm": MAX_GRADIENT_NORM, "perturbation": PERTURBATION, "curves": {}}
    for name, rate in LEARNING_RATES.items():
        curve = {"learning_rate": rate}
        for precision, dtype, first in (("fp32", torch.float32, "loss"), ("fp64", torch.float64, "loss_fp64")):
            losses, norms = run(g, weights, tokens, rate, dtype)
            assert abs(losses[0] - authors[first]) < 1e-6 * authors[first]
            curve[precision] = {"losses": losses, "gradient_norms": norms}
        exact = np.array(curve["fp64"]["losses"])
        others = [run(g, perturbed(weights, seed), tokens, rate, torch.float64)[0] for seed in range(PERTURBED_RUNS)]
        curve["spread"] = (np.abs(np.array(others) - exact) / exact).max(0).round(9).tolist()
        result["curves"][name] = curve
        difference = (np.abs(np.array(curve["fp32"]["losses"]) - exact) / exact).max()
        print(f"{name}: losses {exact[0]:.4f} to {exact[-1]:.4f}, fp32 beside fp64 {difference:.1e}, "
              f"spread {max(curve['spread']):.1e}")
    output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "training/loss_curve.json")
