// SPDX-License-Identifier: Apache-2.0
// How long a model takes to be ready, and what the text embedding cache saves:
//   kovos_load_bench WEIGHTS... [--repetitions 5] [--vocabulary FILE] [--scratch DIR] [--json FILE]
// Cold: the file's pages were dropped from the page cache before (as far as the system obeys). Warm: the file was read
// just before. Ready means: every parameter found, of the right shape, and without NaN, so every byte was read once.
// Floor, warm: reading the file's bytes once with read(2). Floor, cold: the same with the page cache dropped.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/measure.hpp"
#include "common/table.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"
#include "kovos/text/benchmark_classes.hpp"

namespace {

using namespace kovos;
using bench::Json;

/// Asks the system to forget the file's pages.
void drop_from_page_cache(std::string const& path) {
  int const file = ::open(path.c_str(), O_RDONLY);
  if (file < 0) return;
  ::fdatasync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

double read_through(std::string const& path) {
  std::vector<char> buffer(std::size_t{1} << 22);
  return bench::seconds([&] {
    int const file = ::open(path.c_str(), O_RDONLY);
    if (file < 0) return;
    while (::read(file, buffer.data(), buffer.size()) > 0) {
    }
    ::close(file);
  });
}

/// From the path to a network whose weights are checked.
template <CatSegConfig Config>
auto load_network(std::string const& path) {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  CatSegNetwork<Config, float, Kokkos::HostSpace> network;
  load_parameters_or_throw(context, network, with_canonical_names(read_checkpoint(path)), preset_name<Config>);
  return network;
}

template <CatSegConfig Config>
Json measure_load(std::string const& path, std::size_t repetitions) {
  auto const cold_time = [&](auto const& f) {
    drop_from_page_cache(path);
    return bench::seconds(f);
  };
  auto const load = [&] { load_network<Config>(path); };
  std::vector<double> cold, warm, cold_floor, warm_floor, map;
  for (std::size_t i = 0; i < repetitions; ++i) {
    cold.push_back(cold_time(load));
    warm.push_back(bench::seconds(load));
    map.push_back(bench::seconds([&] { (void)read_checkpoint(path); }));
    warm_floor.push_back(read_through(path));
    drop_from_page_cache(path);
    cold_floor.push_back(read_through(path));
  }
  Json r;
  r["file"] = std::filesystem::path(path).filename().string();
  r["container"] = read_checkpoint(path).container;
  r["bytes"] = std::filesystem::file_size(path);
  r["model"] = preset_name<Config>;
  r["cold_seconds"] = bench::median(cold);
  r["cold_floor_seconds"] = bench::median(cold_floor);
  r["warm_seconds"] = bench::median(warm);
  r["warm_floor_seconds"] = bench::median(warm_floor);
  r["read_only_seconds"] = bench::median(map);
  return r;
}

/// First and second start of a program that asks for 150 words: load and encode, with an empty cache and a filled one.
template <CatSegConfig Config>
Json measure_cache(std::string const& path, std::optional<std::filesystem::path> const& given,
                   std::filesystem::path const& folder) {
  Json r;
  bool public_vocabulary = true;
  auto const vocabulary = [&] {
    try {
      return find_vocabulary(path, given);
    } catch (Error const&) {
      public_vocabulary = false;
      return Vocabulary("a b\n");
    }
  }();
  Tokenizer const tokenizer(vocabulary);
  auto const classes = benchmark_class_list(*find_benchmark("ade150"));
  auto const network = load_network<Config>(path);
  EmbeddingCache const cache(folder);
  std::vector<double> first, second;
  for (int run = 0; run < 3; ++run) {
    std::filesystem::remove_all(folder);
    for (auto* list : {&first, &second})
      list->push_back(bench::seconds([&] {
        Context<Kokkos::DefaultHostExecutionSpace> const context;
        encode_words(context, network.clip_model.text, tokenizer, classes, prompt_templates("single"), cache);
      }));
  }
  r["model"] = preset_name<Config>;
  r["words"] = classes.size();
  r["vocabulary"] = public_vocabulary ? "public" : "bytes only: prompts are several times longer";
  r["first_seconds"] = bench::median(first);
  r["second_seconds"] = bench::median(second);
  r["cache_bytes"] = [&] {
    std::uintmax_t bytes = 0;
    for (auto const& entry : std::filesystem::directory_iterator(folder)) bytes += entry.file_size();
    return bytes;
  }();
  std::filesystem::remove_all(folder);
  return r;
}

int run(bench::Arguments arguments) {
  std::size_t const repetitions = std::stoul(arguments.option("--repetitions", "5"));
  auto const json = arguments.option("--json");
  auto const named = arguments.option("--vocabulary");
  std::optional<std::filesystem::path> vocabulary;
  if (!named.empty()) vocabulary = named;
  std::filesystem::path const scratch =
      std::filesystem::path(arguments.option("--scratch", std::filesystem::temp_directory_path().string())) /
      ("kovos-load-bench-" + std::to_string(::getpid()));
  if (arguments.rest().empty()) {
    std::fprintf(
        stderr,
        "usage: kovos_load_bench WEIGHTS... [--repetitions N] [--vocabulary FILE] [--scratch DIR] [--json FILE]\n");
    return 2;
  }
  Json record;
  record["benchmark"] = "load";
  record["machine"] = bench::machine(Context<Kokkos::DefaultHostExecutionSpace>());
  record["repetitions"] = repetitions;
  for (auto const& path : arguments.rest()) {
    auto const file = with_canonical_names(read_checkpoint(path));
    auto const measure = [&]<CatSegConfig Config>(std::string_view) {
      record["loads"].push_back(measure_load<Config>(path, repetitions));
      for (auto const& done : record["caches"])
        if (done["model"] == preset_name<Config>) return;
      record["caches"].push_back(measure_cache<Config>(path, vocabulary, scratch));
    };
    if (!visit_cat_seg_preset(file, measure)) fail<CheckpointError>(path, ": no preset has this geometry");
  }
  bench::print_header({"weights", "size", "cold", "floor, cold", "warm", "floor, warm", "open and parse alone"});
  for (auto const& r : record["loads"])
    bench::print_row({r["file"].get<std::string>(), bench::text("%.0f MB", r["bytes"].get<double>() * 1e-6),
                      bench::text("%.3f s", r["cold_seconds"].get<double>()),
                      bench::text("%.3f s", r["cold_floor_seconds"].get<double>()),
                      bench::text("%.3f s", r["warm_seconds"].get<double>()),
                      bench::text("%.3f s", r["warm_floor_seconds"].get<double>()),
                      bench::text("%.4f s", r["read_only_seconds"].get<double>())});
  std::printf("\n");
  bench::print_header({"text embeddings", "words", "vocabulary", "first start", "second start", "file"});
  for (auto const& r : record["caches"])
    bench::print_row({r["model"].get<std::string>(), std::to_string(r["words"].get<int>()),
                      r["vocabulary"].get<std::string>(), bench::text("%.3f s", r["first_seconds"].get<double>()),
                      bench::text("%.3f s", r["second_seconds"].get<double>()),
                      bench::text("%.0f kB", r["cache_bytes"].get<double>() * 1e-3)});
  bench::print_machine(record["machine"]);
  bench::write_json(json, record);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  Runtime runtime;
  try {
    return run(bench::Arguments(count, values));
  } catch (std::exception const& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
