// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/checkpoint_file.hpp"

#include <doctest/doctest.h>

#include <map>

#include "support.hpp"
#include "torch_writer.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
std::string const pickle = PickleWriter().op("}(").text("w").tensor({"FloatStorage", "0", 2}, {2}, {1}).op('u').stop();
std::string torch_zip() { return zip_archive(torch_records(pickle, {{"0", raw(1.f, 2.f)}})); }
using Tensors = std::map<std::string, TensorBytes>;
}  // namespace

TEST_CASE("checkpoints are recognised by content, whatever their name") {
  TemporaryFolder const folder;
  store(folder / "a.safetensors", torch_zip());
  CHECK(read_checkpoint(folder / "a.safetensors").container == "torch zip");

  PickleWriter legacy;
  legacy.op("}(").text("w").tensor({"FloatStorage", "0", 2, "torch", {}, true}, {2}, {1}).op('u');
  store(folder / "a.json", torch_legacy(legacy.stop(), {{"0", raw(std::int64_t{2}, 1.f, 2.f)}}));
  CHECK(read_checkpoint(folder / "a.json").container == "torch legacy");

  write_safetensors(folder / "a.pth", Tensors{{"w", make_tensor_bytes({2}, {1, 2})}});
  CHECK(read_checkpoint(folder / "a.pth").container == "safetensors");
  CHECK(read_checkpoint(folder / "a.pth").source == (folder / "a.pth").string());

  // A header of 123 bytes: the file begins with '{' as an index does.
  std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.append(123 - header.size(), ' ');
  store(folder / "b", raw(std::uint64_t{123}) + header + raw(1.f));
  CHECK(read_checkpoint(folder / "b").tensors.size() == 1);
}

TEST_CASE("an index gathers files of any kind") {
  TemporaryFolder const folder;
  store(folder / "pytorch_model-1.bin", torch_zip());
  write_safetensors(folder / "model-2.safetensors", Tensors{{"v", make_tensor_bytes({2}, {3, 4})}});
  store(folder / "index", R"( {"weight_map":{"w":"pytorch_model-1.bin","v":"model-2.safetensors"}})");
  // Leading white space is not JSON as safetensors headers want it, but an index is ordinary JSON.
  CHECK_FAILS(CheckpointError, "does not begin with '{'", read_checkpoint(folder / "index"));
  store(folder / "index", R"({"weight_map":{"w":"pytorch_model-1.bin","v":"model-2.safetensors"}})");
  auto const read = read_checkpoint(folder / "index");
  CHECK(read.tensors.size() == 2);
  CHECK(to_float(read.tensors.at("w")) == std::vector<float>{1, 2});
  CHECK(to_float(read.tensors.at("v")) == std::vector<float>{3, 4});
  store(folder / "index", R"({"weight_map":{"w":"../index"}})");
  CHECK_FAILS(CheckpointError, "plain file name", read_checkpoint(folder / "index"));
  store(folder / "index", R"({"weight_map":{"w":"index"}})");
  CHECK_FAILS(CheckpointError, "index' is of an unknown kind", read_checkpoint(folder / "index"));
}

TEST_CASE("other files are named for what they are") {
  TemporaryFolder const folder;
  struct Case {
    std::string content, words;
  };
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  for (auto const& file : {
           Case{"", "is empty"},
           Case{"\x93NUMPY\x01", "is a NumPy array"},
           Case{"\x1f\x8b\x08", "compressed with gzip"},
           Case{"PYTORCH1", "before 1.0"},
           Case{tar, "tar archive"},
           Case{"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
           Case{"<!DOCTYPE html><html>", "web page"},
           Case{"\x89HDF\r\n", "HDF5"},
           Case{"\x80\x02}q\x01.", "plain Python pickle"},
           Case{"\xff\xd8\xff\xe0", "JPEG picture"},
           Case{"hello world", "of an unknown kind"},
       }) {
    store(folder / "file.pth", file.content);
    CHECK_FAILS(CheckpointError, file.words, read_checkpoint(folder / "file.pth"));
    CHECK_FAILS(CheckpointError, "expected weights as .safetensors", read_checkpoint(folder / "file.pth"));
    CHECK_FAILS(CheckpointError, "file.pth", read_checkpoint(folder / "file.pth"));
  }
  store(folder / "config.json", "{\"hidden_size\": 768}");
  CHECK_FAILS(CheckpointError, "names no tensors", read_checkpoint(folder / "config.json"));
  CHECK_FAILS(FileError, "does not exist", read_checkpoint(folder / "none"));
  CHECK_FAILS(FileError, "is a directory", read_checkpoint(folder.path()));
}

TEST_CASE("a damaged safetensors file is recognised as one") {
  TemporaryFolder const folder;
  store(folder / "a", raw(std::uint64_t{1} << 39) + "{\"w\":");
  CHECK_FAILS(CheckpointError, "announces a header of 549755813888 bytes", read_checkpoint(folder / "a"));
  store(folder / "a", raw(std::uint64_t{500}) + "{\"w\":");
  CHECK_FAILS(CheckpointError, "unfinished download", read_checkpoint(folder / "a"));
}
