# SPDX-License-Identifier: Apache-2.0
"""Writes the part of the fuzz corpus that comes from files of make_torch_variants.py: bare pickles, which mutation reaches
better than those in an archive, and a folder of torch.distributed.checkpoint as one input.

    python3 tests/reference/make_fuzz_corpus.py
"""
import pathlib
import struct
import zipfile

TESTS = pathlib.Path(__file__).parents[1]
FILES, CORPUS = TESTS / "data/checkpoints/torch", TESTS / "fuzz/corpus"
PICKLES = ["negative_attribute", "types", "sparse_csr", "quantized_channels", "nested_jagged", "distributed", "meta",
           "device_numpy", "mmengine", "protocol4", "protocol5", "groups"]


def main():
    for name in PICKLES:
        with zipfile.ZipFile(FILES / f"{name}.pth") as archive:
            (record,) = [entry for entry in archive.namelist() if entry.endswith("/data.pkl")]
            (CORPUS / f"torch_checkpoint/{name}.pkl").write_bytes(archive.read(record))
    (CORPUS / "torch_checkpoint/deflated.pth").write_bytes((FILES / "deflated.pth").read_bytes())
    (CORPUS / "torch_checkpoint/shard.pth").write_bytes((FILES / "shard.pth").read_bytes())
    folder = FILES / "dcp_one"
    listed = (folder / ".metadata").read_bytes()
    (CORPUS / "distributed/one.bin").write_bytes(struct.pack("<H", len(listed)) + listed
                                                 + (folder / "__0_0.distcp").read_bytes())
    # Chunks of two ranks; the names of both shards made one.
    listed = (FILES / "dcp_two/.metadata").read_bytes().replace(b"__1_0.distcp", b"__0_0.distcp")
    (CORPUS / "distributed/two.bin").write_bytes(struct.pack("<H", len(listed)) + listed
                                                 + (FILES / "dcp_two/__0_0.distcp").read_bytes())


if __name__ == "__main__":
    main()
