// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/torch_checkpoint_writer.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <zip.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kovos/io/torch_checkpoint.hpp"
#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

TensorBytes tensor(DType dtype, std::vector<std::size_t> shape, std::string const& content) {
  auto owner = std::make_shared<std::string const>(content);
  return {dtype, std::move(shape), as_bytes(*owner), owner};
}

/// Every element type the format has, scalars, empty tensors and names that are no identifiers.
NamedTensors every_kind() {
  NamedTensors file;
  auto& t = file.tensors;
  t["f32"] = tensor(DType::f32, {2, 3}, raw(0.f, -1.f, 2.5f, std::numeric_limits<float>::infinity(), 4.f, 1e-40f));
  t["f64"] = tensor(DType::f64, {2, 1}, raw(0.1, -1e300));
  t["f16"] = tensor(DType::f16, {3}, raw(std::uint16_t{0x3c00}, std::uint16_t{0x7e01}, std::uint16_t{0x8000}));
  t["bf16"] = tensor(DType::bf16, {1, 2, 1}, raw(std::uint16_t{0x3f80}, std::uint16_t{0xff80}));
  t["i64"] = tensor(DType::i64, {2}, raw(std::int64_t{-1}, std::int64_t{1} << 60));
  t["i32"] = tensor(DType::i32, {1}, raw(std::int32_t{-7}));
  t["i16"] = tensor(DType::i16, {1}, raw(std::int16_t{-7}));
  t["i8"] = tensor(DType::i8, {1}, raw(std::int8_t{-7}));
  t["tokenizer.merges"] = tensor(DType::u8, {5}, std::string("a\0b\n\xff", 5));
  t["mask"] = tensor(DType::boolean, {2}, std::string("\1\0", 2));
  t["step"] = tensor(DType::f32, {}, raw(3.f));
  t["none"] = tensor(DType::f32, {3, 0, 2}, "");
  t["ä b/c"] = tensor(DType::f32, {1}, raw(1.f));
  return file;
}

/// The text a command prints; its exit status in `status`.
std::string output_of(std::string const& command, int& status) {
  std::string text;
  auto* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char chunk[4096];
  for (std::size_t count = 0; (count = std::fread(chunk, 1, sizeof chunk, pipe)) > 0;) text.append(chunk, count);
  int const ended = ::pclose(pipe);
  status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
  return text;
}

/// What tests/reference/describe_torch_file.py says about a file; nothing, with a message, without PyTorch.
std::optional<std::string> found_by_torch(std::filesystem::path const& file, std::string const& option) {
  std::string const script = std::string(KOVOS_TEST_DATA) + "/../reference/describe_torch_file.py";
  for (std::string const python : {"python3", "/usr/bin/python3"}) {
    int status = 0;
    auto const text = output_of(
        "PYTHONIOENCODING=utf-8 " + python + " '" + script + "' '" + file.string() + "' " + option + " 2>&1", status);
    if (status == 0) return text;
    if (status != 77 && status != 127) FAIL(text);
  }
  MESSAGE("skipped: no python3 with PyTorch on this machine, so torch.load was not tried");
  return std::nullopt;
}

}  // namespace

TEST_CASE("torch writer: our reader reads it back bit for bit, in place") {
  TemporaryFolder const folder;
  auto const file = every_kind();
  write_torch_checkpoint(folder / "a.pth", file);
  CHECK(folder.files() == 1);
  auto const read = read_torch_checkpoint(folder / "a.pth");
  CHECK(read.container == "torch zip");
  CHECK(difference(file, read) == "");
  for (auto const& [name, t] : read.tensors) {
    if (!t.bytes.empty()) CHECK_MESSAGE(reinterpret_cast<std::uintptr_t>(t.bytes.data()) % 64 == 0, name);
  }
  write_torch_checkpoint(folder / "b.pth", file);
  CHECK(load(folder / "a.pth") == load(folder / "b.pth"));
}

TEST_CASE("torch writer: the archive is the one torch.save makes") {
  TemporaryFolder const folder;
  write_torch_checkpoint(folder / "a.pth", {{"w", tensor(DType::f32, {2}, raw(1.f, 2.f))}, {"n", 3}});
  int error = 0;
  std::unique_ptr<zip_t, int (*)(zip_t*)> const archive(zip_open((folder / "a.pth").c_str(), ZIP_CHECKCONS, &error),
                                                        zip_close);
  REQUIRE(archive != nullptr);
  std::set<std::string> names;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
    zip_stat_t status;
    REQUIRE(zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &status) == 0);
    names.insert(status.name);
    CHECK(status.comp_method == ZIP_CM_STORE);
    // Reading to the end checks the sum.
    std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> const entry(
        zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(i), 0), zip_fclose);
    std::string content(static_cast<std::size_t>(status.size), '\0');
    CHECK(zip_fread(entry.get(), content.data(), status.size) == static_cast<zip_int64_t>(status.size));
    char beyond = 0;
    CHECK(zip_fread(entry.get(), &beyond, 1) == 0);
    if (names.contains("archive/version") && names.size() == 4) CHECK(content == "3\n");
  }
  CHECK(names == std::set<std::string>{"archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/version"});
  CHECK(load(folder / "a.pth").starts_with("PK\x03\x04"));
}

TEST_CASE("torch writer: what PyTorch finds in the file") {
  TemporaryFolder const folder;
  auto tree = TorchDictionary{
      {"model", torch_dictionary(every_kind())},
      {"optimizer", TorchDictionary{{"name", "AdamW, große Schritte"},
                                    {"lr", 2e-4},
                                    {"amsgrad", false},
                                    {"state", TorchDictionary{{"w", tensor(DType::f32, {1}, raw(1.f))}}},
                                    {"none", TorchDictionary{}}}},
      {"iteration", 70000},
      {"images", std::int64_t{1} << 40},
      {"least", std::numeric_limits<std::int64_t>::min()},
      {"done", true}};
  write_torch_checkpoint(folder / "a.pth", tree);
  auto const read = read_torch_checkpoint(folder / "a.pth");
  CHECK(difference(every_kind(), read) == "");

  auto const text = found_by_torch(folder / "a.pth", "");
  if (!text) return;
  CHECK(*text ==
        ": dict of 6\n"
        "/model: dict of 13\n"
        "/model/bf16: torch.bfloat16 (1, 2, 1) (2, 1, 1) cpu False 803f80ff\n"
        "/model/f16: torch.float16 (3,) (1,) cpu False 003c017e0080\n"
        "/model/f32: torch.float32 (2, 3) (3, 1) cpu False 00000000000080bf000020400000807f00008040c2160100\n"
        "/model/f64: torch.float64 (2, 1) (1, 1) cpu False 9a9999999999b93f9c7500883ce437fe\n"
        "/model/i16: torch.int16 (1,) (1,) cpu False f9ff\n"
        "/model/i32: torch.int32 (1,) (1,) cpu False f9ffffff\n"
        "/model/i64: torch.int64 (2,) (1,) cpu False ffffffffffffffff0000000000000010\n"
        "/model/i8: torch.int8 (1,) (1,) cpu False f9\n"
        "/model/mask: torch.bool (2,) (1,) cpu False 0100\n"
        "/model/none: torch.float32 (3, 0, 2) (2, 2, 1) cpu False \n"
        "/model/step: torch.float32 () () cpu False 3.0\n"
        "/model/tokenizer.merges: torch.uint8 (5,) (1,) cpu False 6100620aff\n"
        "/model/ä b/c: torch.float32 (1,) (1,) cpu False 0000803f\n"
        "/optimizer: dict of 5\n"
        "/optimizer/name: str 'AdamW, große Schritte'\n"
        "/optimizer/lr: float 0.0002\n"
        "/optimizer/amsgrad: bool False\n"
        "/optimizer/state: dict of 1\n"
        "/optimizer/state/w: torch.float32 (1,) (1,) cpu False 0000803f\n"
        "/optimizer/none: dict of 0\n"
        "/iteration: int 70000\n"
        "/images: int 1099511627776\n"
        "/least: int -9223372036854775808\n"
        "/done: bool True\n");
}

TEST_CASE("torch writer: PyTorch's restricted loader takes the file") {
  TemporaryFolder const folder;
  write_torch_checkpoint(folder / "a.pth", {{"w", tensor(DType::f32, {1}, raw(1.f))}, {"n", 3}, {"t", "x"}});
  if (auto const text = found_by_torch(folder / "a.pth", "--weights-only")) {
    CHECK(*text == ": dict of 3\n/w: torch.float32 (1,) (1,) cpu False 0000803f\n/n: int 3\n/t: str 'x'\n");
  }
}

TEST_CASE("torch writer: what cannot be written leaves the old file") {
  TemporaryFolder const folder;
  auto const path = folder / "a.pth";
  store(path, "old");
  auto const one = tensor(DType::f32, {1}, raw(1.f));
  auto const write = [&](TorchDictionary const& tree) { write_torch_checkpoint(path, tree); };
  CHECK_FAILS(CheckpointError, "'model/w' has 4 bytes, which do not match its shape and dtype F32",
              write({{"model", TorchDictionary{{"w", tensor(DType::f32, {2}, raw(1.f))}}}}));
  CHECK_FAILS(CheckpointError, "'w' has the dtype F8_E4M3, which PyTorch has no storage",
              write({{"w", tensor(DType::f8_e4m3, {1}, "a")}}));
  CHECK_FAILS(CheckpointError, "'w' has the dtype U16", write({{"w", tensor(DType::u16, {1}, "ab")}}));
  CHECK_FAILS(CheckpointError, "the key 'a/b' is there twice", write({{"a", TorchDictionary{{"b", 1}, {"b", 2}}}}));
  CHECK_FAILS(CheckpointError, "a key is not UTF-8: 'b\\xff'", write({{"b\xff", 1}}));
  CHECK_FAILS(CheckpointError, "'b' is not UTF-8", write({{"b", "\xff"}}));
  CHECK_FAILS(CheckpointError, "a.pth'", write({{"b\xff", 1}}));
  CHECK_FAILS(FileError, "check that its folder exists", write_torch_checkpoint(folder / "no/a.pth", NamedTensors{}));
  CHECK_FAILS(FileError, "is a directory", write_torch_checkpoint(folder.path(), NamedTensors{}));
  CHECK(load(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("torch writer: a full disk") {
  TemporaryFolder const folder;
  auto const path = folder / "a.pth";
  store(path, "old");
  // A limit on the size of files stands in for a full disk, small enough to stop a record or only the directory.
  struct ::rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto const handler = std::signal(SIGXFSZ, SIG_IGN);
  auto const large = tensor(DType::u8, {1'000'000}, std::string(1'000'000, 'x'));
  for (rlim_t const limit : {rlim_t{100}, rlim_t{50'000}, rlim_t{1'000'300}}) {
    struct ::rlimit small = before;
    small.rlim_cur = limit;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    auto const message = message_of<FileError>([&] { write_torch_checkpoint(path, {{"w", large}}); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    INFO(message);
    CHECK(contains(message, "File too large"));
    CHECK(contains(message, "free some space"));
    CHECK(load(path) == "old");
    CHECK(folder.files() == 1);
  }
  std::signal(SIGXFSZ, handler);
  write_torch_checkpoint(path, {{"w", large}});
  CHECK(read_torch_checkpoint(path).tensors.at("w").bytes.size() == 1'000'000);
}

TEST_CASE("torch writer: a file that was read is written again, model and all") {
  TemporaryFolder const folder;
  auto const original = read_torch_checkpoint(test_data("checkpoints/tiny_trainer.pth"));
  write_torch_checkpoint(folder / "a.pth", original);
  CHECK(difference(original, read_torch_checkpoint(folder / "a.pth")) == "");
  // Onto the file whose mapping holds the bytes.
  auto const again = read_torch_checkpoint(folder / "a.pth");
  write_torch_checkpoint(folder / "a.pth", again);
  CHECK(difference(original, read_torch_checkpoint(folder / "a.pth")) == "");
}
