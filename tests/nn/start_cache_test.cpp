// SPDX-License-Identifier: Apache-2.0
#include "kovos/nn/start_cache.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/io/checkpoint_file.hpp"

namespace {

using namespace kovos;
namespace fs = std::filesystem;
using Host = Context<Kokkos::DefaultHostExecutionSpace>;

/// A folder that is removed in the end.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("kovos-packed-" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path / "cache");
  }
  ~Folder() { fs::remove_all(path); }
  fs::path cache() const { return path / "cache"; }
  fs::path weights() const { return path / "weights.safetensors"; }
  std::vector<fs::path> files() const { return {fs::directory_iterator(cache()), {}}; }
};

struct Module {
  Parameter<float, Kokkos::HostSpace, 4, 8> matrix;
  Parameter<bf16, Kokkos::HostSpace, 3, 5> rounded;
  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "matrix", matrix, ParameterRole::weight);
    f(prefix + "rounded", rounded, ParameterRole::weight);
  }
};

void write_weights(fs::path const& path, float first) {
  NamedTensors file;
  std::vector<float> matrix(32), rounded(15, 0.3f);
  for (std::size_t i = 0; i < 32; ++i) matrix[i] = first + static_cast<float>(i);
  file.tensors["matrix"] = make_tensor_bytes({4, 8}, matrix);
  file.tensors["rounded"] = make_tensor_bytes({3, 5}, rounded);
  write_safetensors(path, file);
}

/// What a program is from its start to its end.
struct Start {
  explicit Start(fs::path const& weights, fs::path const& cache, std::string const& engine = "host avx512")
      : file(read_checkpoint(weights)), packed(cache, file, engine, "fp32") {
    load_parameters_or_throw(context, module, packed.ready(file), "Module");
    declare_constant(context, module);
    packed.restore(context, module, file);
  }

  /// Elements of the matrix from `first` on, times two, and of something composed of both, plus one.
  std::vector<float> work(std::size_t first) {
    auto& kept = context.packed();
    auto const get = [&](PackedKey const& key, std::size_t size, auto const& make) {
      return kept.get<float>(
          key, size, [&] { return DynamicTensor<float, 1>(dynamic_extents<1>{size}); }, make);
    };
    auto const* const from = module.matrix.data() + first;
    auto const doubled = get({from, {1, 2, 3}}, 4, [&](auto const& to) {
      for (std::size_t i = 0; i < 4; ++i) to.data()[i] = 2 * from[i];
    });
    auto const* const other = module.rounded.data() + 1;
    auto const composed = get({from, {0, 0, 0, 0, 0, 7}, other}, 5, [&](auto const& to) {
      for (std::size_t i = 0; i < 5; ++i) to.data()[i] = from[i] + static_cast<float>(other[i]);
    });
    auto const more = get({composed.data() + 1, {9}}, 3, [&](auto const& to) {
      for (std::size_t i = 0; i < 3; ++i) to.data()[i] = composed.data()[1 + i] + 1;
    });
    std::vector<float> result(doubled.data(), doubled.data() + 4);
    result.insert(result.end(), more.data(), more.data() + 3);
    return result;
  }
  bool save() { return packed.save(context, module); }

  NamedTensors file;
  StartCache packed;
  Host context;
  Module module;
};

TEST_CASE("what was packed is found by the next start, wherever its weights lie") {
  Folder const folder;
  write_weights(folder.weights(), 1);
  Start first(folder.weights(), folder.cache());
  CHECK(!first.packed.text_encoder());
  auto const expected = first.work(3);
  CHECK(expected[0] == 8);
  CHECK(expected[4] == 5 + static_cast<float>(bf16(0.3f)) + 1);
  CHECK(first.context.packed().made() == 3);
  first.packed.set_text_encoder(Fingerprint(77));
  CHECK(first.save());
  CHECK(!first.save());
  REQUIRE(folder.files().size() == 1);

  Start second(folder.weights(), folder.cache());
  CHECK(second.module.matrix.data() != first.module.matrix.data());
  CHECK(second.work(3) == expected);
  CHECK(second.context.packed().made() == 0);
  REQUIRE(second.packed.text_encoder());
  CHECK(second.packed.text_encoder()->value() == 77);
  for (std::size_t i = 0; i < 15; ++i)
    CHECK(static_cast<float>(second.module.rounded.data()[i]) == static_cast<float>(first.module.rounded.data()[i]));
  CHECK(!second.save());

  // What is new is added to what was there.
  (void)second.work(7);
  CHECK(second.context.packed().made() == 3);
  CHECK(second.save());
  Start third(folder.weights(), folder.cache());
  CHECK(third.work(3) == expected);
  CHECK(third.work(7) == second.work(7));
  CHECK(third.context.packed().made() == 0);
  // The file that second maps was replaced, not changed.
  CHECK(second.work(3) == expected);
}

TEST_CASE("other weights take the place of old ones") {
  Folder const folder;
  write_weights(folder.weights(), 1);
  auto const old_time = fs::last_write_time(folder.weights());
  Start first(folder.weights(), folder.cache());
  auto const old = first.work(3);
  CHECK(first.save());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the clock of files is coarse
  write_weights(folder.weights(), 2);
  fs::last_write_time(folder.weights(), old_time);
  Start second(folder.weights(), folder.cache());
  CHECK(second.work(3)[0] == 10);
  CHECK(second.context.packed().made() == 3);
  CHECK(second.save());
  CHECK(folder.files().size() == 1);

  // They are looked at: nothing vouches for them.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  write_weights(folder.weights(), std::nanf(""));
  CHECK_THROWS_AS(Start(folder.weights(), folder.cache()), CheckpointError);
}

TEST_CASE("what another engine packed is not used, even under the right name") {
  Folder const folder;
  write_weights(folder.weights(), 1);
  Start first(folder.weights(), folder.cache());
  auto const expected = first.work(0);
  CHECK(first.save());
  auto const file = folder.files().at(0);
  Start other(folder.weights(), folder.cache(), "host avx2");
  CHECK(other.work(0) == expected);
  CHECK(other.context.packed().made() == 3);
  CHECK(other.save());
  REQUIRE(folder.files().size() == 2);
  for (auto const& path : folder.files())
    if (path != file) fs::rename(path, file);
  Start again(folder.weights(), folder.cache());
  CHECK(again.work(0) == expected);
  CHECK(again.context.packed().made() == 3);
}

TEST_CASE("a file that is damaged or foreign is as good as none") {
  Folder const folder;
  write_weights(folder.weights(), 1);
  Start first(folder.weights(), folder.cache());
  auto const expected = first.work(3);
  CHECK(first.save());
  auto const path = folder.files().at(0);
  auto const whole = read_file(path);
  auto const try_bytes = [&](std::span<std::byte const> bytes, std::size_t made) {
    write_file_atomically(path, bytes);
    Start next(folder.weights(), folder.cache());
    CHECK(next.work(3) == expected);
    CHECK(next.context.packed().made() == made);
  };
  for (std::size_t length = 0; length < whole.size(); length += 1 + whole.size() / 50)
    try_bytes(std::span(whole).first(length), 3);
  try_bytes(std::vector<std::byte>(5000, std::byte{0x5a}), 3);
  write_file_atomically(path, whole);
  fs::copy_file(folder.weights(), path, fs::copy_options::overwrite_existing);
  try_bytes(read_file(path), 3);
  try_bytes(whole, 0);

  // Entries that mean nothing are passed over, and those of another size made again.
  auto const file = read_safetensors(path);
  auto const variant = [&](auto const& change) {
    NamedTensors other;
    other.metadata = file.metadata;
    for (auto const& [name, tensor] : file.tensors) other.tensors[change(name)] = tensor;
    auto const target = folder.path / "variant";
    write_safetensors(target, other);
    auto const bytes = read_file(target);
    try_bytes(bytes, 3);
  };
  int n = 0;
  for (char const* const name :
       {"packed:", "packed:matrix", "packed:matrix+", "packed:matrix+12,1", "packed:matrix+99999999999999999999999,1",
        "packed:matrix+18446744073709551000,0,0,0,0,0,", "packed:nothing+0,0,0,0,0,0,0", "packed:(+0,0",
        "packed:()+0,0,0,0,0,0,0", "packed:matrix+12,1,2,3,0,0,0,", "packed:matrix+12,1,2,3,0,0,0x",
        "parameter:", "parameter:nothing", "parameter:matrix", "rarely read:matrix", "rounded:matrix", ":", "\x01"})
    variant([&](std::string const&) { return name + std::to_string(++n); });
  std::vector<std::string> names;
  for (auto const& [name, tensor] : file.tensors)
    if (name.starts_with("packed:")) names.push_back(name);
  REQUIRE(names.size() == 3);
  variant([&](std::string const& name) {  // each gets the next one's memory
    for (std::size_t i = 0; i < 3; ++i)
      if (names[i] == name) return names[(i + 1) % 3];
    return name;
  });

  // And the next save repairs it.
  Start repair(folder.weights(), folder.cache());
  (void)repair.work(3);
  CHECK(repair.save());
  Start last(folder.weights(), folder.cache());
  CHECK(last.work(3) == expected);
  CHECK(last.context.packed().made() == 0);
}

TEST_CASE("without a folder, or without a file of weights, nothing is kept") {
  Folder const folder;
  write_weights(folder.weights(), 1);
  for (fs::path const& cache : {fs::path(), folder.weights(), fs::path("/dev/null")}) {
    Start start(folder.weights(), cache);
    (void)start.work(0);
    CHECK(!start.save());
  }
  auto tensors = read_checkpoint(folder.weights());
  tensors.stamp.clear();
  StartCache file(folder.cache(), tensors, "host", "fp32");
  Start start(folder.weights(), {});
  (void)start.work(0);
  CHECK(!file.save(start.context, start.module));
  CHECK(folder.files().empty());
}

TEST_CASE("starts that write at the same time leave one good file") {
  Folder const folder;
  write_weights(folder.weights(), 1);
  std::vector<std::unique_ptr<Start>> starts;
  for (std::size_t i = 0; i < 4; ++i) {
    starts.push_back(std::make_unique<Start>(folder.weights(), folder.cache()));
    (void)starts.back()->work(i);
    (void)starts.back()->work(20);
  }
  std::vector<std::thread> threads;
  for (auto& start : starts)
    threads.emplace_back([&start, &folder] {
      for (int i = 0; i < 10; ++i) {
        (void)start->save();
        Start const other(start->file.source, folder.cache());
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(folder.files().size() == 1);
  Start last(folder.weights(), folder.cache());
  CHECK(last.work(20) == starts[0]->work(20));
  CHECK(last.context.packed().made() == 0);
}

}  // namespace
