# SPDX-License-Identifier: Apache-2.0
"""Writes small files of every kind that PyTorch can write for a state dict, and what PyTorch reads from them.

    python3 tests/reference/make_torch_variants.py [OUTPUT_DIRECTORY]

Needs torch 2.15, safetensors, and mmengine 0.10.7 for one of the files. For each file, expected.json says "kept" (names
whose values lie in expected.safetensors as FILE:NAME), "left_out" (name -> a word of the reason) or "refused" (a part of
the sentence). The script fails if torch has a rebuild function that no file uses.
"""
import argparse
import collections
import io
import json
import pathlib
import pickletools
import shutil
import sys
import warnings
import zipfile

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

warnings.simplefilter("ignore")
OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "data/checkpoints/torch")
EXPECTED, VALUES = {}, {}
ONE = torch.arange(6.0).reshape(2, 3)


class Made:
    """An object that pickles as a call of `function`, for functions that need a device we have not."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Subclass(torch.Tensor):
    """As torchvision's tv_tensors: a class of its own, values of an ordinary tensor."""


def keep(name, tensors, left_out=None):
    EXPECTED[name] = {"kept": sorted(tensors)}
    if left_out:
        EXPECTED[name]["left_out"] = left_out
    for key, value in tensors.items():
        value = value.detach().as_subclass(torch.Tensor).resolve_neg().contiguous()
        VALUES[f"{name}:{key}"] = value.clone()


def save(name, state, refused=None, left_out=None, inside=None, trusted=False, names=None, **options):
    """`inside`: the entry that is the model; `names`: renames keys for what Kovos shows."""
    torch.save(state, OUT / name, **options)
    if refused:
        EXPECTED[name] = {"refused": refused}
        return
    read = torch.load(OUT / name, weights_only=not trusted)
    read = read[inside] if inside else read
    kept = {k: v for k, v in read.items() if k not in (left_out or {}) and isinstance(v, torch.Tensor)}
    keep(name, {(names or (lambda key: key))(k): v for k, v in kept.items()}, left_out)


def rebuild_functions():
    labelled = ONE.clone()
    labelled.origin = "a Python attribute"
    parameter = torch.nn.Parameter(ONE.clone())
    parameter.origin = "another"
    module = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(module.weight, 0.5), torch.nn.init.constant_(module.bias, -1.0)
    module.scale = torch.nn.Buffer(torch.ones(2))
    save("attribute.pth", {"w": labelled, "v": ONE})
    save("buffers.pth", {**dict(module.named_parameters()), **dict(module.named_buffers())})
    save("parameters.pth", {"w": torch.nn.Parameter(ONE), "v": parameter})
    save("legacy_attribute.pth", {"w": labelled, "p": parameter}, _use_new_zipfile_serialization=False)
    save("subclass.pth", {"w": ONE.clone().as_subclass(Subclass)}, trusted=True)
    save("views.pth", {"t": ONE.T, "row": ONE[1], "column": ONE[:, 1], "wide": ONE[:1].expand(3, 3), "same": ONE})

    z = torch.complex(ONE, ONE + 1)
    save("negative.pth", {
        "imag": z.conj().imag, "column": z.conj().imag[:, 1], "double": z.to(torch.complex128).conj().imag,
        "half": z.to(torch.complex32).conj().imag, "int": torch._neg_view(torch.tensor([0, 1, -2, 2 ** 40])),
        "byte": torch._neg_view(torch.tensor([0, 1, 255], dtype=torch.uint8)), "plain": ONE})
    attributed = z.conj().imag
    attributed.origin = "both"
    save("negative_attribute.pth", {"w": attributed})
    save("complex.pth", {"w": ONE, "z": z, "conj": z.conj()}, left_out={"z": "complex64", "conj": "complex64"})
    save("only_complex.pth", {"z": z}, refused="holds no tensors that Kovos can hold: 'z' has the element type complex64")

    ordinary = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
                torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn,
                torch.float8_e5m2]
    foreign = [torch.complex32, torch.complex128, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu,
               torch.float4_e2m1fn_x2, torch.bits8, torch.bits16, torch.bits1x8, torch.bits2x4, torch.bits4x2]
    raw = torch.tensor([0, 60] * 16, dtype=torch.uint8)
    state = {str(t)[6:]: raw.clone().view(t) if t != torch.bool else raw > 0 for t in ordinary + foreign}
    save("types.pth", state, left_out={str(t)[6:]: str(t)[6:] for t in foreign})

    beside = lambda tensor: {"w": tensor, "v": ONE}
    square = torch.eye(4)
    for layout, tensor in {"coo": square.to_sparse(), "csr": square.to_sparse_csr(), "csc": square.to_sparse_csc(),
                           "bsr": square.to_sparse_bsr((2, 2)), "bsc": square.to_sparse_bsc((2, 2))}.items():
        save(f"sparse_{layout}.pth", beside(tensor), refused=f"'w' is a sparse tensor ('torch.sparse_{layout}')")
    save("sparse_parameter.pth", beside(torch.nn.Parameter(square.to_sparse())), refused="'w' is a sparse tensor")
    attributed = square.to_sparse()
    attributed.origin = "both"
    save("sparse_attribute.pth", beside(attributed), refused="'w' is a sparse tensor")
    save("quantized.pth", beside(torch.quantize_per_tensor(ONE, 0.1, 3, torch.qint8)),
         refused="'w' is a quantized tensor")
    save("quantized_channels.pth", beside(torch.quantize_per_channel(ONE, torch.tensor([0.1, 0.2]), torch.tensor([0, 1]),
                                                                     0, torch.quint8)),
         refused="'w' is a quantized tensor")
    rows = [torch.ones(2, 3), torch.ones(1, 3)]
    save("nested.pth", beside(torch.nested.nested_tensor(rows)), refused="'w' is a nested tensor")
    save("nested_jagged.pth", beside(torch.nested.nested_tensor(rows, layout=torch.jagged)),
         refused="'w' is a nested tensor")
    save("meta.pth", beside(torch.empty(2, 3, device="meta")), refused="'w' has no values")
    save("meta_parameter.pth", beside(torch.nn.Parameter(torch.empty(2, device="meta"))), refused="'w' has no values")
    save("lazy.pth", dict(torch.nn.LazyLinear(2).named_parameters()), refused="'weight' has no values")
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    from torch.distributed.tensor import distribute_tensor, init_device_mesh
    save("distributed.pth", beside(distribute_tensor(ONE, init_device_mesh("cpu", (1,)))),
         refused="'w' is of the class 'torch.distributed.tensor.DTensor'")
    torch.distributed.destroy_process_group()

    # The functions of other devices, called as PyTorch calls them there.
    u = torch._utils
    save("device.pth", {"w": Made(u._rebuild_device_tensor_from_cpu_tensor, ONE, torch.float32, "cpu", False)})
    save("device_other_type.pth", {"w": Made(u._rebuild_device_tensor_from_cpu_tensor, ONE, torch.float16, "cpu", False)},
         refused="'w' was saved on a device")
    save("device_numpy.pth", {"w": Made(u._rebuild_device_tensor_from_numpy, ONE.numpy(), torch.float32, "cpu", False),
                              "v": ONE}, refused="'w' was saved on a device")
    save("oldest.pth", {"w": Made(u._rebuild_tensor, ONE.storage(), 1, (2, 2), (2, 1))})
    save("old_subclass.pth", {"w": Made(torch._tensor._rebuild_from_type, u._rebuild_tensor,
                                        torch.Tensor, (ONE.storage(), 0, (6,), (1,)), {"origin": "old"})}, trusted=True)


def training_files():
    hook = {"lr": np.float64(0.1), "best": np.float32(2.5), "history": np.arange(3.0), "flags": {1, 2},
            "options": argparse.Namespace(resume=False), "z": 1 + 2j, "raw": bytearray(b"abc"), "cut": slice(1, 2),
            "path": pathlib.PurePosixPath("a/b"), "many": collections.defaultdict(list, a=[1]), "big": 2 ** 70,
            "type": np.dtype("f4"), "frozen": frozenset([1]), "kind": np.float64, "note": b"bytes"}
    for protocol in (2, 3, 4, 5):
        save(f"protocol{protocol}.pth", {"model": {"w": ONE, "b": ONE[0]}, "hook": hook, "args": hook["options"]},
             inside="model", trusted=True, pickle_protocol=protocol)
    save("numpy_inside.pth", {"w": ONE, "a": np.arange(3.0)}, left_out={"a": "NumPy"}, trusted=True)
    save("groups.pth", {"w": ONE, "more": {"v": ONE}}, left_out={"more": "group of tensors"})
    averages = {"w": ONE + 1, "b": ONE[0] + 1}
    save("ema_only.pth", {"epoch": 3, "state_dict_ema": averages},
         refused="no tensors at its top, only inside 'state_dict_ema' (by its name, averages over the training): to read "
                 "these, put '#' and the name behind the file name, as in FILE#state_dict_ema")
    save("ema_beside.pth", {"model": {"w": ONE, "b": ONE[0]}, "model_ema": averages}, inside="model")
    keep("ema_beside.pth#model_ema", averages)
    keep("ema_only.pth#state_dict_ema", averages)

    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, 0.25)
    save("averaged_model.pth", torch.optim.swa_utils.AveragedModel(net).state_dict(),
         names=lambda key: key.removeprefix("module."))
    compiled = torch.nn.DataParallel(torch.compile(net)).state_dict()
    assert all(key.startswith("module._orig_mod.") for key in compiled)
    save("compiled.pth", compiled, names=lambda key: key.removeprefix("module._orig_mod."))
    save("module_twice.pth", {"module.w": ONE, "w": ONE + 1})
    save_file({"module.w": ONE, "module.b": ONE[0].clone(), "steps": torch.tensor(3)}, OUT / "module.safetensors")
    keep("module.safetensors", {"w": ONE, "b": ONE[0], "steps": torch.tensor(3)})
    save_file({"w": ONE, "z": torch.complex(ONE, ONE)}, OUT / "complex.safetensors")
    keep("complex.safetensors", {"w": ONE}, {"z": "C64"})


def mmengine_file():
    from mmengine.logging import HistoryBuffer, MessageHub
    hub = MessageHub("made")
    for step in range(3):
        hub.update_scalar("train/loss", 1.0 / (step + 1))
    hub.update_info("iter", 3)
    assert isinstance(hub.log_scalars["train/loss"], HistoryBuffer)
    save("mmengine.pth", {"meta": {"epoch": 1, "mmengine_version": "0.10.7", "dataset_meta": {"classes": ("a", "b")}},
                          "state_dict": collections.OrderedDict(w=ONE, b=ONE[0]), "message_hub": hub.state_dict(),
                          "param_schedulers": [{"last_step": 3, "_global_step": 3}]}, inside="state_dict", trusted=True)


def packed_again():
    """What `zip -r` makes of an unpacked file, directory entries included."""
    buffer = io.BytesIO()
    torch.save({"model": {"w": torch.arange(3000.0) // 100, "t": ONE.T}}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(OUT / "deflated.pth", "w", zipfile.ZIP_DEFLATED) as new:
        new.mkdir("archive")
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename), old.read(entry), zipfile.ZIP_DEFLATED)
    keep("deflated.pth", torch.load(OUT / "deflated.pth", weights_only=True)["model"])


def distributed_rank(rank, folder, store):
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    whole = torch.arange(35.0).reshape(5, 7)
    dcp.save({"model": {"rows": distribute_tensor(whole, mesh, [Shard(0)]),
                        "columns": distribute_tensor(whole, mesh, [Shard(1)]),
                        "module.same": distribute_tensor(whole.to(torch.bfloat16), mesh, [Replicate()]),
                        "plain": ONE, "few": distribute_tensor(torch.ones(1, 2), mesh, [Shard(0)]),
                        "scalar": torch.tensor(3), "z": torch.complex(ONE, ONE)},
              "optimizer": {"state": {"rows": {"exp_avg": distribute_tensor(whole, mesh, [Shard(0)])}}},
              "model_ema": {"rows": whole + 1}, "step": 4}, checkpoint_id=folder)
    torch.distributed.destroy_process_group()


def distributed_folders():
    flat = {"w": ONE, "b": ONE[0].clone()}
    dcp.save(flat, checkpoint_id=str(OUT / "dcp_one"), no_dist=True)
    keep("dcp_one", flat)
    folder, store = OUT / "dcp_two", OUT / "store"
    torch.multiprocessing.spawn(distributed_rank, (str(folder), str(store)), nprocs=2)
    store.unlink(missing_ok=True)
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
    dcp_to_torch_save(folder, OUT / "whole.pth")
    whole = torch.load(OUT / "whole.pth", weights_only=False)
    (OUT / "whole.pth").unlink()
    model = {k.removeprefix("module."): v for k, v in whole["model"].items() if k != "z"}
    keep("dcp_two", model, {"z": "complex64"})
    keep("dcp_two#model_ema", whole["model_ema"])
    EXPECTED["dcp_one/__0_0.distcp"] = {"refused": "is one shard of a checkpoint of torch.distributed.checkpoint"}
    shutil.copy(OUT / "dcp_one/__0_0.distcp", OUT / "shard.pth")
    EXPECTED["shard.pth"] = {"refused": "several zip archives one after the other, as the shards of "
                                        "torch.distributed.checkpoint"}


def check_all_functions_are_used():
    used = set()
    for path in OUT.glob("*.pth"):
        data = None
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.endswith("data.pkl")]
                data = [archive.read(names[0])] if names else []
        else:
            content = path.read_bytes()
            data = [content]
        for text in data:
            used.update(name for name in ALL if name.encode() in text)
    assert used >= ALL, sorted(ALL - used)


ALL = {name for name in dir(torch._utils) if name.startswith("_rebuild_")} - {"_rebuild_xla_tensor"}  # another's alias
ALL |= {name for name in dir(torch._tensor) if name.startswith("_rebuild_from_type")} | {"_rebuild_njt"}


def main():
    for old in OUT.glob("*") if OUT.exists() else []:
        if old.name != "README.md":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    rebuild_functions()
    training_files()
    packed_again()
    distributed_folders()
    mmengine_file()
    check_all_functions_are_used()
    save_file(VALUES, OUT / "expected.safetensors")
    (OUT / "expected.safetensors").chmod(0o644)
    (OUT / "expected.json").write_text(json.dumps(EXPECTED, indent=1, sort_keys=True) + "\n")
    print(torch.__version__, len(EXPECTED), "files,", sum(p.stat().st_size for p in OUT.rglob("*") if p.is_file()), "bytes")


if __name__ == "__main__":
    main()
