// SPDX-License-Identifier: Apache-2.0
// Seconds, work and memory of each stage of a segmentation:
//   kovos_segment_bench WEIGHTS... [--classes 20,150,847] [--window whole,sliding] [--precision fp32,bf16]
//                       [--size 640] [--views N] [--repetitions 3] [--peak GFLOPS] [--json FILE]
// WEIGHTS are CAT-Seg checkpoints of any preset. Words are random tokens (start, eight words, end), the picture is
// noise: the time depends on neither. No vocabulary is needed. --views: how many go through the head together, 0 as the
// head chooses. --peak spares measuring the machine's peak again.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/measure.hpp"
#include "common/table.hpp"
#include "kovos/kernels/engine/peaks.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "kovos/segmentation/cat_seg.hpp"
#include "kovos/segmentation/work.hpp"

namespace {

using namespace kovos;
using bench::Json;

struct Plan {
  std::vector<std::size_t> classes;
  std::vector<WindowMode> windows;
  std::size_t size = 640, views = 0, repetitions = 3;
  double peak = 0;  // GFLOP/s
};

std::vector<std::vector<std::int32_t>> random_prompts(std::size_t count, std::size_t vocabulary) {
  bench::Random random(1);
  std::vector<std::vector<std::int32_t>> prompts(count, std::vector<std::int32_t>(10));
  for (auto& prompt : prompts) {
    for (auto& id : prompt) id = static_cast<std::int32_t>(random.below(vocabulary - 2));
    prompt.front() = static_cast<std::int32_t>(vocabulary - 2);
    prompt.back() = static_cast<std::int32_t>(vocabulary - 1);
  }
  return prompts;
}

Json row(std::string const& stage, double seconds, double operations, double peak) {
  Json r;
  r["stage"] = stage;
  r["seconds"] = seconds;
  if (operations > 0) {
    r["gflop"] = operations * 1e-9;
    r["gflops"] = operations * 1e-9 / seconds;
    r["share_of_peak"] = operations * 1e-9 / seconds / peak;
    r["floor_seconds"] = operations * 1e-9 / peak;
  }
  return r;
}

template <CatSegConfig Config, class T>
Json measure(CatSegNetwork<Config, T, Kokkos::HostSpace>& network, std::size_t classes, WindowMode window,
             Plan const& plan) {
  using Exec = Kokkos::DefaultHostExecutionSpace;
  auto const precision = std::is_same_v<T, bf16> ? MatmulPrecision::bf16 : MatmulPrecision::fp32;
  Context<Exec> const context(Exec(), Engine::automatic, precision);  // a workspace of its own
  CatSeg<Config, T, Exec> const model(network, Tokenizer(Vocabulary("a b\n")), context);
  auto const prompts = random_prompts(classes, Config.clip.text.vocabulary_size);
  Image picture{plan.size, plan.size, std::vector<std::uint8_t>(plan.size * plan.size * 3)};
  bench::Random random(2);
  for (auto& value : picture.pixels) value = static_cast<std::uint8_t>(random.below(256));
  SegmentOptions options;
  options.window = window;
  options.views_at_once = plan.views;
  options.time_stages = true;

  bench::reset_peak_resident();
  std::vector<std::pair<std::string, std::vector<double>>> times{{"text encoder", {}}};
  std::vector<double> totals;
  for (std::size_t run = 0; run <= plan.repetitions; ++run) {  // the first one warms up
    typename CatSeg<Config, T, Exec>::Words words;
    words.names.assign(classes, "word");
    double const text = bench::seconds([&] {
      auto const features = l2_normalize(context, network.clip_model.text.encode(context, prompts));
      words.features = features.reshape(dynamic_extents<3>(classes, std::size_t{1}, features.extent(1)));
    });
    Segmentation result;
    double const segment = bench::seconds([&] { result = model.segment(picture, words, options); });
    if (run == 0) continue;
    totals.push_back(text + segment);
    times[0].second.push_back(text);
    double staged = 0;
    auto const note = [&](std::string const& stage, double seconds) {
      for (auto& [name, list] : times)
        if (name == stage) return list.push_back(seconds);
      times.emplace_back(stage, std::vector<double>{seconds});
    };
    for (auto const& [stage, seconds] : result.times.stages()) {
      note(stage, seconds);
      staged += seconds;
    }
    note("rest", segment - staged);
  }

  auto work = segment_work(Config, classes, options, plan.size, plan.size);
  work.push_back(text_work(Config, std::vector<std::size_t>(classes, prompts[0].size())));
  Json r;
  r["model"] = preset_name<Config>;
  r["precision"] = std::is_same_v<T, bf16> ? "bf16" : "fp32";
  r["classes"] = classes;
  r["window"] = window == WindowMode::whole ? "whole" : "sliding";
  r["size"] = {plan.size, plan.size};
  r["views_at_once"] = plan.views;
  double total_work = 0;
  for (auto const& [stage, list] : times) {
    double const operations = work_of(work, stage).operations;
    total_work += operations;
    r["stages"].push_back(row(stage, bench::median(list), operations, plan.peak));
  }
  r["total"] = row("total", bench::median(totals), total_work, plan.peak);
  r["totals"] = totals;
  r["workspace_peak_bytes"] = context.workspace().peak_bytes();
  r["peak_rss_bytes"] = bench::peak_resident_bytes();
  r["load_average_after"] = bench::load_average();

  std::fprintf(stderr, "%s %s %s, %zu classes: %.2f s\n", r["model"].get<std::string>().c_str(),
               r["precision"].get<std::string>().c_str(), r["window"].get<std::string>().c_str(), classes,
               r["total"]["seconds"].get<double>());
  return r;
}

template <CatSegConfig Config, class T>
void measure_all(NamedTensors const& file, Plan const& plan, Json& results) {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  CatSegNetwork<Config, T, Kokkos::HostSpace> network;
  load_parameters_or_throw(context, network, file, preset_name<Config>);
  for (auto const window : plan.windows)
    for (auto const classes : plan.classes) results.push_back(measure<Config, T>(network, classes, window, plan));
}

void print_table(Json const& results) {
  std::vector<std::string> header{"model", "classes", "window"};
  std::vector<std::string> const stages{"text encoder",      "image encoder", "cost embedding", "spatial aggregation",
                                        "class aggregation", "decoder",       "labels"};
  header.insert(header.end(), stages.begin(), stages.end());
  header.insert(header.end(), {"rest", "total", "floor", "peak memory", "workspace"});
  bench::print_header(header);
  for (auto const& r : results) {
    std::vector<std::string> cells{r["model"].get<std::string>() + " " + r["precision"].get<std::string>(),
                                   std::to_string(r["classes"].get<int>()), r["window"].get<std::string>()};
    auto const cell = [](Json const& stage) {
      double const s = stage["seconds"].get<double>();
      if (!stage.contains("gflops")) return bench::text("%.2f", s);
      return bench::text("%.2f (%.0f, %.0f %%)", s, stage["gflops"].get<double>(),
                         100 * stage["share_of_peak"].get<double>());
    };
    double rest = r["total"]["seconds"].get<double>();
    for (auto const& name : stages) {
      for (auto const& stage : r["stages"]) {
        if (stage["stage"] != name) continue;
        cells.push_back(cell(stage));
        rest -= stage["seconds"].get<double>();
      }
    }
    cells.push_back(bench::text("%.2f", rest));
    cells.push_back(cell(r["total"]));
    cells.push_back(bench::text("%.2f", r["total"]["floor_seconds"].get<double>()));
    cells.push_back(bench::text("%.2f GB", r["peak_rss_bytes"].get<double>() * 1e-9));
    cells.push_back(bench::text("%.2f GB", r["workspace_peak_bytes"].get<double>() * 1e-9));
    bench::print_row(cells);
  }
}

int run(bench::Arguments arguments) {
  Plan plan;
  for (auto const& n : arguments.list("--classes", "20,150,847")) plan.classes.push_back(std::stoul(n));
  for (auto const& w : arguments.list("--window", "whole,sliding"))
    plan.windows.push_back(w == "whole" ? WindowMode::whole : WindowMode::sliding);
  auto const precisions = arguments.list("--precision", "fp32,bf16");
  plan.size = std::stoul(arguments.option("--size", "640"));
  plan.views = std::stoul(arguments.option("--views", "0"));
  plan.repetitions = std::stoul(arguments.option("--repetitions", "3"));
  plan.peak = std::stod(arguments.option("--peak", "0"));
  auto const json = arguments.option("--json");
  if (arguments.rest().empty()) {
    std::fprintf(stderr,
                 "usage: kovos_segment_bench WEIGHTS... [--classes N,...] [--window whole,sliding] "
                 "[--precision fp32,bf16] [--size N] [--views N] [--repetitions N] [--peak GFLOPS] [--json FILE]\n");
    return 2;
  }
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  Json record;
  record["benchmark"] = "segment";
  record["machine"] = bench::machine(context);
  if (plan.peak == 0) plan.peak = measure_peaks(context).fma_gflops;
  record["peak_gflops"] = plan.peak;
  record["repetitions"] = plan.repetitions;
  record["results"] = Json::array();
  for (auto const& weights : arguments.rest()) {
    auto const file = with_canonical_names(read_checkpoint(weights));
    auto const measure_preset = [&]<CatSegConfig Config>(std::string_view) {
      for (auto const& precision : precisions) {
        if (precision == "bf16") measure_all<Config, bf16>(file, plan, record["results"]);
        else measure_all<Config, float>(file, plan, record["results"]);
      }
    };
    if (!visit_cat_seg_preset(file, measure_preset)) fail<CheckpointError>(weights, ": no preset has this geometry");
  }
  std::printf(
      "Seconds (GFLOP/s, share of the measured peak of %.0f GFLOP/s); median of %zu after a warm-up, %zu x %zu "
      "pixels. Floor: the same work at the peak.\n\n",
      plan.peak, plan.repetitions, plan.size, plan.size);
  print_table(record["results"]);
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
