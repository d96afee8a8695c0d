#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# torch.load on a shard of torch.distributed.checkpoint: one of its many tensors, without a word.
#
# PyTorch 2.15.0, seen on 2026-11-28. A shard such as __0_0.distcp is valid output of PyTorch: archives of torch.save, one
# tensor each, one after the other. torch.load looks for the directory at the end of the file, but follows an offset there
# that counts from the beginning of the last archive. If the first and the last archive have the same length (a backbone
# of equal layers), it lands in the first archive and returns the first tensor of the shard as if that were the file, with
# no error and no warning; with another last tensor it says that the archive is corrupted. Python's zipfile finds the last
# tensor in the same file. So nothing in the answer tells that a shard was given instead of a checkpoint. Who fine-tunes a
# segmentation model with FSDP gets folders of such shards and will try torch.load on one of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings
import zipfile

import torch
import torch.distributed.checkpoint as dcp

print("torch", torch.__version__)
folder = sys.argv[1]


def load_shard_of(name, state):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # saving without a process group is announced
        dcp.save(state, checkpoint_id=f"{folder}/{name}", no_dist=True)
    shard = f"{folder}/{name}/__0_0.distcp"
    with zipfile.ZipFile(shard) as archive:
        last = torch.frombuffer(bytearray(archive.read("archive/data/0")), dtype=torch.float32)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            loaded = torch.load(shard)
        except RuntimeError as error:
            loaded = str(error)
    return loaded, last, len(said)


layers = {f"layer.{i}.weight": torch.full((64, 64), float(i)) for i in range(12)}
loaded, last, warned = load_shard_of("layers", layers)
print(f"12 layers saved; torch.load of the shard: {type(loaded).__name__} {tuple(loaded.shape)} of {loaded[0, 0]:g}, "
      f"{warned} warnings; zipfile sees the one of {last[0]:g}")
assert isinstance(loaded, torch.Tensor) and torch.equal(loaded, layers["layer.0.weight"]) and warned == 0
assert last[0] == 11

loaded, last, warned = load_shard_of("with_norm", {**layers, "norm.bias": torch.full((64,), 99.0)})
print("with a bias behind them:", str(loaded)[:76])
assert isinstance(loaded, str) and "corrupted" in loaded
PYTHON
