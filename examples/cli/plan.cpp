// SPDX-License-Identifier: Apache-2.0
// kovos plan: what a segmentation costs on this machine, at least and in fact.

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "kovos/core/image.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/engine/peaks.hpp"
#include "kovos/segmentation/work.hpp"
#include "model.hpp"

namespace kovos::cli {

namespace {

struct Options {
  std::string model, size = "640x480", window = "sliding", precision = "fp32", vocabulary;
  std::size_t classes = 20;
  SegmentOptions less_work;
  int runs = 0;
};

struct Size {
  std::size_t width = 0, height = 0;
};

/// "WxH". Throws UsageError.
Size parse_size(std::string const& text) {
  Size size;
  auto const* const end = text.data() + text.size();
  auto const width = std::from_chars(text.data(), end, size.width);
  bool good = width.ec == std::errc() && width.ptr != end && *width.ptr == 'x';
  if (good) {
    auto const height = std::from_chars(width.ptr + 1, end, size.height);
    good = height.ec == std::errc() && height.ptr == end;
  }
  if (!good || size.width == 0 || size.height == 0 || size.width > 65535 || size.height > 65535)
    throw UsageError("--size '" + text + "': expected WIDTHxHEIGHT in pixels, 1 to 65535 each, for example 640x480");
  return size;
}

/// Median seconds of each stage over the runs, after one that is not counted. The picture is noise: time does not
/// depend on it.
std::vector<std::pair<std::string, double>> measure(AnyModel<> const& model, Options const& o,
                                                    SegmentOptions const& options, Size size) {
  Image picture{size.height, size.width, std::vector<std::uint8_t>(size.height * size.width * 3)};
  std::uint32_t state = 1;
  for (auto& value : picture.pixels) value = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < o.classes; ++i) names.push_back("thing number " + std::to_string(i));
  auto const words = model.encode(class_list(names));
  std::vector<std::pair<std::string, std::vector<double>>> all;
  for (int run = 0; run <= o.runs; ++run) {
    auto const result = model.segment(picture, words, options);
    if (run == 0) continue;
    for (auto const& [stage, seconds] : result.times.stages()) {
      auto at = std::find_if(all.begin(), all.end(), [&](auto const& entry) { return entry.first == stage; });
      if (at == all.end()) at = all.insert(all.end(), {stage, {}});
      at->second.push_back(seconds);
    }
  }
  std::vector<std::pair<std::string, double>> medians;
  for (auto& [stage, seconds] : all) {
    auto const middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
    std::nth_element(seconds.begin(), middle, seconds.end());
    medians.emplace_back(stage, *middle);
  }
  return medians;
}

int run(Options const& o) {
  auto const size = parse_size(o.size);
  if (o.classes == 0) throw UsageError("--classes 0: expected at least one class");
  auto const model = load_model(o.model, o.vocabulary, o.precision);
  SegmentOptions options = o.less_work;
  options.window = o.window == "whole" ? WindowMode::whole : WindowMode::sliding;
  options.time_stages = true;
  auto const work = segment_work(model.config(), o.classes, options, size.height, size.width);
  std::size_t const views = view_count(model.config().test, options.window);

  double operations_peak = 0, bytes_peak = 0;
  if constexpr (is_host_execution<Kokkos::DefaultExecutionSpace>) {
    auto const peaks = measure_peaks(model.context());
    bool const in_bf16 = o.precision == "bf16" && peaks.bf16_gflops > 0;
    operations_peak = 1e9 * (in_bf16 ? peaks.bf16_gflops : peaks.fma_gflops);
    bytes_peak = 1e9 * std::max(peaks.copy_gbytes, peaks.triad_gbytes);
    std::printf("%s, %zu classes, %zu x %zu pixels, %s, %zu view%s, %s, engine %s\n",
                std::string(model.preset()).c_str(), o.classes, size.width, size.height, o.window.c_str(), views,
                views == 1 ? "" : "s", o.precision.c_str(), engine_name(model.context()).c_str());
    std::printf("measured peaks of this machine: %.0f GFLOP/s (%s products), %.1f GB/s; %d threads\n\n",
                operations_peak * 1e-9, in_bf16 ? "bf16" : "fp32", bytes_peak * 1e-9,
                model.context().exec().concurrency());
  }
  std::vector<std::pair<std::string, double>> times;
  if (o.runs > 0) times = measure(model, o, options, size);

  std::printf("%-20s %10s %10s %10s", "stage", "GFLOP", "MB", "floor ms");
  if (o.runs > 0) std::printf(" %10s %10s %8s", "ms", "GFLOP/s", "floor %");
  std::printf("\n");
  StageWork total{"total"};
  double total_floor = 0, total_seconds = 0;
  auto const print = [&](StageWork const& stage, double floor, double seconds) {
    std::printf("%-20s %10.2f %10.1f", stage.stage.c_str(), stage.operations * 1e-9, stage.bytes * 1e-6);
    if (operations_peak > 0) std::printf(" %10.2f", floor * 1e3);
    else std::printf(" %10s", "?");
    if (seconds > 0) {
      std::printf(" %10.2f %10.1f", seconds * 1e3, stage.operations * 1e-9 / seconds);
      if (operations_peak > 0) std::printf(" %8.1f", 100 * floor / seconds);
    }
    std::printf("\n");
  };
  for (auto const& stage : work) {
    double const floor = operations_peak > 0 ? stage.floor_seconds(operations_peak, bytes_peak) : 0;
    double seconds = 0;
    for (auto const& [name, value] : times)
      if (name == stage.stage) seconds = value;
    print(stage, floor, seconds);
    total.operations += stage.operations;
    total.bytes += stage.bytes;
    total_floor += floor;
    total_seconds += seconds;
  }
  print(total, total_floor, total_seconds);
  return done;
}

}  // namespace

void add_plan(CLI::App& app, Machine& machine, Action& action) {
  auto o = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("plan", "What a segmentation has to compute, the floor on this machine, its share");
  command->add_option("--model", o->model, "CAT-Seg checkpoint (default: the embedded model)");
  command->add_option("--classes", o->classes, "How many classes")->capture_default_str();
  command->add_option("--size", o->size, "Of the picture, WIDTHxHEIGHT in pixels")->capture_default_str();
  command->add_option("--window", o->window, "How the picture is shown to the network")
      ->capture_default_str()
      ->check(CLI::IsMember({"whole", "sliding"}));
  command->add_option("--precision", o->precision, "As for segment")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  add_less_work_options(*command, o->less_work);
  command->add_option("--runs", o->runs, "Also segment noise so many times and print what was reached")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_option("--vocabulary", o->vocabulary, "CLIP's vocabulary, if not beside the weights or in $KOVOS_HOME");
  add_machine_options(*command, machine);
  command->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace kovos::cli
