# SPDX-License-Identifier: Apache-2.0
"""Times a training step of CAT-Seg or CLIP in plain PyTorch on the CPU and prints JSON.

    kovos_train_bench --cases cat_seg_scenes --write case.safetensors
    python3 bench/peers/pytorch_train.py --case case.safetensors

The file holds the weights, the batch and the settings, and the loss and gradient norm of Kovos' first step: those of PyTorch
must agree, or the figures would be of two different things. Prompts are as long as the longest, as Kovos computes them;
`--full-context` pads them to the model's context, as the authors' code does. Class lists are padded as in that code.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import pytorch_cat_seg  # makes the modules of tests/reference known
import cat_seg_reference
import safetensors_format

LOSS_TOLERANCE, NORM_TOLERANCE = 1e-4, 1e-3  # relative
LARGEST_SCALE = float(np.log(100))  # the temperature of CLIP stays at or above 0.01


class CatSegTask:
    def __init__(self, case, batch):
        self.model = cat_seg_reference.CatSeg(case["geometry"])
        self.tokens, self.labels = batch["tokens"], batch["labels"]
        self.classes = torch.arange(len(self.tokens), dtype=torch.int32)[:, None, None]

    def loss(self, pixels):
        logits = self.model.logits(pixels, self.model.text_features(self.tokens))
        logits = F.interpolate(logits, self.labels.shape[1:], mode="bilinear", align_corners=False)
        return F.binary_cross_entropy_with_logits(logits, (self.labels[:, None] == self.classes).float())

    def after_step(self):
        pass


class ClipTask:
    """Radford et al. 2021, and beside it the loss on patches (include/kovos/training/losses.hpp)."""

    def __init__(self, case, batch):
        self.model = cat_seg_reference.Clip(case["geometry"], split=True)
        self.tokens, self.share, self.sharpness = batch["tokens"], case["dense_share"], case["dense_sharpness"]

    def encode(self, pixels):
        """-> embeddings of the class token [N, E], and of the patches [N, P, E] if the loss wants them."""
        visual = self.model.visual
        x = visual.conv1(pixels)
        positions = visual.positions(x.shape[-1])
        x = x.flatten(2).transpose(1, 2)
        x = visual.ln_pre(torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], 1) + positions).transpose(0, 1)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x = block(x)
        token = visual.ln_post(last(x)[0]) @ visual.proj
        if self.share == 0:
            return token, None
        return token, (visual.ln_post(last(x, dense=True)[1:].transpose(0, 1)) @ visual.proj)

    def contrastive(self, similarities):
        logits, target = self.model.logit_scale.exp() * similarities, torch.arange(len(similarities))
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2

    def loss(self, pixels):
        token, patches = self.encode(pixels)
        text = F.normalize(self.model.encode_text(self.tokens), dim=-1)
        loss = self.contrastive(F.normalize(token, dim=-1) @ text.t())
        if patches is None:
            return loss
        cosines = text @ F.normalize(patches, dim=-1).flatten(0, 1).t()  # [N texts, N P]
        cosines = cosines.view(len(text), len(patches), -1)
        best = (torch.logsumexp(self.sharpness * cosines, -1) - np.log(cosines.shape[-1])) / self.sharpness
        return (1 - self.share) * loss + self.share * self.contrastive(best)

    def after_step(self):
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_SCALE)


def load(model, weights):
    """All parameters by name; attention masks follow from the geometry."""
    result = model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()}, strict=False)
    assert all(name.endswith("attn_mask") for name in result.missing_keys) and not result.unexpected_keys, result


def adamw(model, case):
    """AdamW with the learning rates and decays of the case; what is not named there is frozen."""
    parameters, groups, settings = dict(model.named_parameters()), {}, case["optimizer"]
    for value in parameters.values():
        value.requires_grad_(False)
    for name, multiplier, decay in case["parameters"]:
        groups.setdefault((multiplier, decay), []).append(parameters[name].requires_grad_(True))
    return torch.optim.AdamW(
        [{"params": group, "lr": settings["learning_rate"] * multiplier, "weight_decay": decay}
         for (multiplier, decay), group in groups.items()],
        betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])


def check(what, mine, theirs, tolerance):
    if not abs(mine - theirs) <= tolerance * abs(theirs):
        sys.exit(f"pytorch_train: {what} of the first step is {mine:.8g} here and {theirs:.8g} in Kovos, more than "
                 f"{tolerance:g} apart: they do not compute the same, so there is nothing to compare")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", required=True, help="safetensors file of kovos_train_bench --write")
    parser.add_argument("--full-context", action="store_true", help="pad prompts to the model's context")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--keep-memory", action="store_true",
                        help="let the C library keep freed memory: fewer page faults, higher peak")
    parser.add_argument("--repetitions", type=int, default=5, help="after one step that warms up")
    options = parser.parse_args()
    if options.keep_memory and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        os.environ.update(MALLOC_TRIM_THRESHOLD_=str(1 << 40), MALLOC_MMAP_THRESHOLD_=str(1 << 40), MALLOC_TOP_PAD_="0")
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(options.threads)
    pytorch_cat_seg.without_initialisation()
    speed, libraries = pytorch_cat_seg.matrix_speed()
    if speed < 15 * options.threads:
        print(f"warning: {speed:.0f} GFLOP/s for a large fp32 product ({', '.join(libraries)}): install an optimised BLAS "
              "(libopenblas0-openmp on Debian) before comparing anything with these figures", file=sys.stderr)

    tensors, information = safetensors_format.read(options.case, metadata=True)
    case = json.loads(information["kovos.bench.train"])
    batch = {name[len("batch."):]: torch.from_numpy(np.array(value)) for name, value in tensors.items()
             if name.startswith("batch.")}
    batch["tokens"] = batch["tokens"].long()
    if options.full_context:
        batch["tokens"] = F.pad(batch["tokens"], (0, case["geometry"]["context"] - batch["tokens"].shape[1]))
    task = {"cat_seg": CatSegTask, "clip": ClipTask}[case["task"]](case, batch)
    load(task.model, {name: value for name, value in tensors.items() if not name.startswith("batch.")})
    optimizer, most = adamw(task.model, case), case["optimizer"]["max_gradient_norm"]
    trained = [value for value in task.model.parameters() if value.requires_grad]
    mean, deviation = (torch.tensor(case[key]).view(3, 1, 1) for key in ("mean", "deviation"))

    runs, losses, norms = [], [], []
    for run in range(options.repetitions + 1):
        times = [time.perf_counter()]
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss((batch["pixels"].permute(0, 3, 1, 2).float() - mean) / deviation)
        losses.append(loss.item())
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        norms.append(torch.nn.utils.clip_grad_norm_(trained, most or float("inf")).item())
        optimizer.step()
        task.after_step()
        times.append(time.perf_counter())
        if run == 0:
            check("the loss", losses[0], case["losses"][0], LOSS_TOLERANCE)
            check("the gradient norm", norms[0], case["gradient_norms"][0], NORM_TOLERANCE)
        else:
            runs.append([times[1] - times[0], times[2] - times[1], times[3] - times[2], times[3] - times[0]])
    seconds = {name: statistics.median(column) for name, column in
               zip(("forward", "backward", "optimizer", "step"), zip(*runs))}
    print(json.dumps({
        "program": "PyTorch " + torch.__version__, "case": case["case"], "pictures": case["pictures"],
        "full_context": options.full_context, "threads": options.threads, "repetitions": options.repetitions,
        "keep_memory": options.keep_memory, "matrix_gflops": round(speed, 1), "blas": libraries,
        "onednn": torch.backends.mkldnn.is_available(), "trained_parameters": sum(value.numel() for value in trained),
        "losses": losses, "gradient_norms": norms, "seconds": seconds, "steps": [run[-1] for run in runs],
        "pictures_per_second": case["pictures"] / seconds["step"],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
