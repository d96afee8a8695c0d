# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the safetensors format with NumPy alone."""
import json
import struct

import numpy as np

DTYPES = {
    "F64": np.dtype("<f8"), "I64": np.dtype("<i8"), "F32": np.dtype("<f4"), "I32": np.dtype("<i4"),
    "F16": np.dtype("<f2"), "U16": np.dtype("<u2"), "I16": np.dtype("<i2"), "U8": np.dtype("u1"), "I8": np.dtype("i1"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def read(path, metadata=False):
    """Returns name -> array (memory-mapped, read-only, in file order); with `metadata` also the metadata."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    info = header.pop("__metadata__", {})
    data = np.memmap(path, np.uint8, "r", offset=8 + size) if any(np.prod(e["shape"]) for e in header.values()) else b""
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return (tensors, info) if metadata else tensors


def write(path, tensors, metadata=None):
    """Writes name -> array: widest dtype first, then by name, header padded so that the data starts 8-byte aligned."""
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    order = sorted(tensors, key=lambda name: (-np.asarray(tensors[name]).dtype.itemsize, name))
    for name in order:
        array = np.asarray(tensors[name])
        header[name] = {"dtype": NAMES[array.dtype.newbyteorder("<")], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            array = np.asarray(tensors[name])
            file.write(np.asarray(array, array.dtype.newbyteorder("<"), order="C").data if array.size else b"")
