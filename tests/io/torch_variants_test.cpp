// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/safetensors.hpp"
#include "support.hpp"

// Files of tests/reference/make_torch_variants.py: whatever PyTorch can write for a state dict is either the tensor
// that PyTorch reads, or a sentence that names it.

using namespace kovos;
using namespace kovos::test;

namespace {

std::filesystem::path const folder = test_data("checkpoints/torch");

nlohmann::json expectations() {
  std::ifstream stream(folder / "expected.json");
  return nlohmann::json::parse(stream);
}

}  // namespace

TEST_CASE("whatever PyTorch writes for a state dict is the tensor or a sentence") {
  auto const values = read_safetensors(folder / "expected.safetensors");
  auto const expected = expectations();
  REQUIRE(expected.size() > 50);
  for (auto const& [file, what] : expected.items()) {
    INFO(file);
    if (what.contains("refused")) {
      std::string const sentence = what["refused"];
      CHECK_FAILS(CheckpointError, sentence, read_checkpoint(folder / file));
      continue;
    }
    NamedTensors read;
    auto const message = message_of<Error>([&] { read = read_checkpoint(folder / file); });
    CHECK(message == "nothing was thrown");
    NamedTensors wanted;
    for (std::string const name : what["kept"]) wanted.tensors[name] = values.tensors.at(file + ":" + name);
    CHECK(difference(wanted, read) == "");
    auto const left_out = what.value("left_out", nlohmann::json::object());
    CHECK(read.left_out.size() == left_out.size());
    for (auto const& [name, word] : left_out.items()) {
      INFO(name);
      REQUIRE(read.left_out.contains(name));
      CHECK(contains(read.left_out.at(name), word.get<std::string>()));
    }
  }
}

TEST_CASE("every file of the folder is expected to be something") {
  auto const expected = expectations();
  std::set<std::string> tested;
  for (auto const& item : expected.items()) tested.insert(item.key().substr(0, item.key().find('#')));
  for (auto const& entry : std::filesystem::directory_iterator(folder)) {
    auto const name = entry.path().filename().string();
    if (name.starts_with("expected.") || name == "README.md") continue;
    INFO(name);
    CHECK(tested.contains(name));
  }
}

TEST_CASE("entries of a PyTorch file") {
  CHECK(read_checkpoint(folder / "ema_beside.pth").other_entries == std::vector<std::string>{"model_ema"});
  auto const averages = read_checkpoint(folder / "ema_beside.pth#model_ema");
  CHECK(averages.other_entries == std::vector<std::string>{"model"});
  CHECK(averages.source == (folder / "ema_beside.pth#model_ema").string());
  CHECK(averages.stamp != read_checkpoint(folder / "ema_beside.pth").stamp);
  CHECK_FAILS(CheckpointError, "has no entry 'ema'; its entries are 'model', 'model_ema'",
              read_checkpoint(folder / "ema_beside.pth#ema"));
  CHECK_FAILS(CheckpointError, "is a safetensors file, which has no entries inside it: leave out '#model'",
              read_checkpoint(folder / "module.safetensors#model"));
  CHECK_FAILS(FileError, "does not exist", read_checkpoint(folder / "none.pth#model"));
  CHECK_FAILS(CheckpointError, "has no entry 'ema' with tensors", read_checkpoint(folder / "dcp_two#ema"));

  TemporaryFolder const copies;  // a file whose name has the mark is that file
  std::filesystem::copy_file(folder / "attribute.pth", copies / "run#7.pth");
  CHECK(read_checkpoint(copies / "run#7.pth").tensors.size() == 2);
}

TEST_CASE("prefixes of training are dropped and named") {
  CHECK(read_checkpoint(folder / "averaged_model.pth").dropped_prefixes == "module.");
  CHECK(read_checkpoint(folder / "compiled.pth").dropped_prefixes == "module._orig_mod.");
  CHECK(read_checkpoint(folder / "module.safetensors").dropped_prefixes == "module.");
  CHECK(read_checkpoint(folder / "module_twice.pth").dropped_prefixes.empty());
  CHECK(read_safetensors(folder / "module.safetensors").tensors.contains("module.w"));

  NamedTensors file;
  for (auto const* name : {"a._orig_mod.b", "_orig_mod.module.c", "module.module.d", "module.", "_orig_mod.",
                           "a_orig_mod.b", "encoder.module.e", "modules.f"}) {
    file.tensors[name] = make_tensor_bytes({1}, {1});
  }
  file.left_out["module.z"] = "is odd";
  drop_wrapper_prefixes(file);
  std::set<std::string> names;
  for (auto const& entry : file.tensors) names.insert(entry.first);
  CHECK(names == std::set<std::string>{"a.b", "c", "d", "module.", "_orig_mod.", "a_orig_mod.b", "encoder.module.e",
                                       "modules.f"});
  CHECK(file.left_out.contains("z"));

  // An index lists names as its shards hold them.
  TemporaryFolder const shards;
  std::filesystem::copy_file(folder / "module.safetensors", shards / "1.safetensors");
  store(shards / "index.json", R"({"weight_map":{"module.w":"1.safetensors","module.b":"1.safetensors"}})");
  CHECK(read_checkpoint(shards / "index.json").tensors.contains("w"));
  std::filesystem::copy_file(folder / "complex.safetensors", shards / "2.safetensors");
  store(shards / "index.json", R"({"weight_map":{"module.w":"1.safetensors","z":"2.safetensors"}})");
  CHECK(read_checkpoint(shards / "index.json").left_out.contains("z"));
}

TEST_CASE("a folder of torch.distributed.checkpoint that is not whole") {
  TemporaryFolder const copies;
  auto const copy = copies / "folder";
  std::filesystem::copy(folder / "dcp_two", copy);
  auto const shard = load(copy / "__1_0.distcp");
  auto const list = load(copy / ".metadata");
  REQUIRE(read_checkpoint(copy).tensors.size() == 6);
  CHECK(read_checkpoint(copy).container == "torch distributed");

  store(copy / "__1_0.distcp", shard.substr(0, shard.size() / 2));
  CHECK_FAILS(CheckpointError, "is it an unfinished copy?", read_checkpoint(copy));
  std::filesystem::remove(copy / "__1_0.distcp");
  CHECK_FAILS(CheckpointError, "__1_0.distcp' is missing", read_checkpoint(copy));
  store(copy / "__1_0.distcp", std::string(shard.size(), 'x'));
  CHECK_FAILS(CheckpointError, "is no archive of torch.save", read_checkpoint(copy));
  store(copy / "__1_0.distcp", shard);

  // One changed byte anywhere in the list: the tensors, or one of our sentences.
  for (std::size_t at = 0; at < list.size(); at += 3) {
    auto changed = list;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    store(copy / ".metadata", changed);
    try {
      static_cast<void>(read_checkpoint(copy));
    } catch (Error const&) {
    }
  }
  auto const replaced = [&](std::string const& from, std::string const& to) {
    auto changed = list;
    for (auto place = changed.find(from); place != std::string::npos; place = changed.find(from, place + to.size())) {
      changed.replace(place, from.size(), to);
    }
    store(copy / ".metadata", changed);
  };
  replaced("__1_0.distcp", "../_0.distcp");
  CHECK_FAILS(CheckpointError, "'../_0.distcp', expected a plain file name", read_checkpoint(copy));
  replaced("storage_data", "storage_dat_");
  CHECK_FAILS(CheckpointError, "an object lacks its 'storage_data'", read_checkpoint(copy));
  std::filesystem::remove(copy / ".metadata");
  CHECK_FAILS(FileError, "is a directory", read_checkpoint(copy));
}
