// SPDX-License-Identifier: Apache-2.0
// Scoring without the network:
//   kovos_evaluate_bench FOLDER [--repetitions 3] [--threads 2] [--json FILE]   (bench/evaluate.py makes the folder)
//   kovos_evaluate_bench --confusion 847 [--side 2000] [--json FILE]
// The first reads each picture, resizes it as the authors do (short side 640), reads its label and scores a prediction
// that lies in memory. Floor: libjpeg decoding the pictures, from memory, and nothing else, on as many threads.
// The second counts pairs of labels. Floor: copying as many bytes as the labels have.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include <jpeglib.h>  // needs <cstdio> before it

#include "common/measure.hpp"
#include "common/table.hpp"
#include "kovos/data/dataset.hpp"
#include "kovos/data/read_ahead.hpp"
#include "kovos/kernels/resize_u8.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"

namespace {

using namespace kovos;
using bench::Json;

/// The labels shifted by a few columns and rows: a prediction that is mostly right. evaluate.py makes the same ones.
LabelMap prediction_of(LabelMap const& labels, std::uint16_t classes) {
  LabelMap shifted = labels;
  for (std::size_t y = 0; y < labels.height; ++y)
    for (std::size_t x = 0; x < labels.width; ++x) {
      std::uint16_t const label = labels((y + 3) % labels.height, (x + 5) % labels.width);
      shifted(y, x) = label == LabelMap::unknown ? std::uint16_t{0} : std::min<std::uint16_t>(label, classes);
    }
  return shifted;
}

struct Prepared {
  Image image;
  LabelMap labels;
};

struct Loop {
  ConfusionMatrix matrix;
  std::uint64_t pixel_sum = 0;
};

Loop evaluate(SegmentationFolder const& folder, std::vector<LabelMap> const& predictions, std::size_t threads) {
  Loop loop{ConfusionMatrix(folder.class_count())};
  auto const load = [&](std::size_t i) {
    auto sample = folder.load(i);
    auto const [height, width] = shortest_edge_size(sample.image.height, sample.image.width, 640, 2560);
    return Prepared{resize_pillow(sample.image, height, width, ResizeFilter::bilinear), std::move(sample.labels)};
  };
  auto const use = [&](std::size_t i, Prepared const& prepared) {
    loop.pixel_sum += prepared.image.pixels[prepared.image.pixels.size() / 2];  // the network would look at it here
    loop.matrix.add(predictions[i % predictions.size()], prepared.labels);
  };
  for_each_read_ahead(folder.size(), load, use, 2 * threads, threads);
  return loop;
}

void decode(std::vector<std::byte> const& file) {
  jpeg_decompress_struct state;
  jpeg_error_mgr errors;
  state.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&state);
  jpeg_mem_src(&state, reinterpret_cast<unsigned char const*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_read_header(&state, TRUE);
  state.out_color_space = JCS_RGB;
  jpeg_start_decompress(&state);
  std::vector<unsigned char> line(std::size_t{3} * state.output_width);
  unsigned char* rows[] = {line.data()};
  while (state.output_scanline < state.output_height) jpeg_read_scanlines(&state, rows, 1);
  jpeg_finish_decompress(&state);
  jpeg_destroy_decompress(&state);
}

double decode_all(std::vector<std::vector<std::byte>> const& files, std::size_t threads) {
  return bench::seconds([&] {
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < threads; ++t)
      workers.emplace_back([&, t] {
        for (std::size_t i = t; i < files.size(); i += threads) decode(files[i]);
      });
    for (auto& worker : workers) worker.join();
  });
}

/// Seconds of each step, one picture after the other on one thread.
Json steps(SegmentationFolder const& folder, std::vector<LabelMap> const& predictions) {
  double image = 0, label = 0, resize = 0, sample_seconds = 0, score = 0;
  ConfusionMatrix matrix(folder.class_count());
  for (std::size_t i = 0; i < folder.size(); ++i) {
    SegmentationSample sample;
    image += bench::seconds([&] { (void)read_image(folder.image_path(i)); });
    label += bench::seconds([&] { (void)read_png_labels(folder.label_path(i)); });
    sample_seconds += bench::seconds([&] { sample = folder.load(i); });
    auto const [height, width] = shortest_edge_size(sample.image.height, sample.image.width, 640, 2560);
    resize += bench::seconds([&] { (void)resize_pillow(sample.image, height, width, ResizeFilter::bilinear); });
    score += bench::seconds([&] { matrix.add(predictions[i % predictions.size()], sample.labels); });
  }
  return {{"read picture", image},
          {"read label", label},
          {"sample (both, checked)", sample_seconds},
          {"resize", resize},
          {"score", score}};
}

int run_loop(bench::Arguments arguments) {
  std::size_t const repetitions = std::stoul(arguments.option("--repetitions", "3"));
  std::size_t const threads = std::stoul(arguments.option("--threads", "2"));
  auto const json = arguments.option("--json");
  if (arguments.rest().size() != 1) {
    std::fprintf(stderr,
                 "usage: kovos_evaluate_bench FOLDER [--repetitions N] [--threads N] [--json FILE]\n"
                 "       kovos_evaluate_bench --confusion CLASSES [--side PIXELS] [--repetitions N] [--json FILE]\n");
    return 2;
  }
  SegmentationFolder const folder(arguments.rest().front());
  std::vector<LabelMap> predictions;
  for (std::size_t i = 0; i < folder.size(); ++i)
    predictions.push_back(prediction_of(folder.load(i).labels, static_cast<std::uint16_t>(folder.class_count() - 1)));
  std::vector<std::vector<std::byte>> files;
  for (std::size_t i = 0; i < folder.size(); ++i) {
    auto const bytes = read_file(folder.image_path(i), std::size_t{1} << 30);
    files.emplace_back(bytes.size());
    std::memcpy(files.back().data(), bytes.data(), bytes.size());
  }
  auto const check = evaluate(folder, predictions, threads);
  std::vector<double> loop, floor;
  for (std::size_t r = 0; r < repetitions; ++r) {
    loop.push_back(bench::seconds([&] { evaluate(folder, predictions, threads); }));
    floor.push_back(decode_all(files, threads));
  }
  double const per = 1e3 / static_cast<double>(folder.size());
  auto const best = [](std::vector<double> const& seconds) {
    return *std::min_element(seconds.begin(), seconds.end());
  };
  Json record{{"pictures", folder.size()},
              {"threads", threads},
              {"milliseconds_per_picture", best(loop) * per},
              {"floor_milliseconds_per_picture", best(floor) * per},
              {"pixels", check.matrix.pixels()},
              {"mean_iou", segmentation_metrics(check.matrix).mean_iou},
              {"pixel_sum", check.pixel_sum},
              {"seconds_of_steps", steps(folder, predictions)}};
  bench::print_header({"evaluation loop, no network", "ms per picture", "libjpeg alone, ms", "ratio"});
  bench::print_row({"Kovos, " + std::to_string(threads) + " threads", bench::text("%.2f", best(loop) * per),
                    bench::text("%.2f", best(floor) * per), bench::text("%.2f", best(loop) / best(floor))});
  std::printf("\n");
  bench::print_header({"step, one thread", "ms per picture"});
  for (auto const& [step, seconds] : record["seconds_of_steps"].items())
    bench::print_row({step, bench::text("%.2f", seconds.get<double>() * per)});
  bench::write_json(json, record);
  return 0;
}

LabelMap blocks(std::size_t side, std::size_t cell, std::size_t classes, std::uint64_t seed) {
  bench::Random random(seed);
  std::size_t const columns = side / cell + 1;
  std::vector<std::uint16_t> labels(columns * columns);
  for (auto& label : labels) label = static_cast<std::uint16_t>(random.below(classes));
  LabelMap map{side, side, std::vector<std::uint16_t>(side * side)};
  for (std::size_t y = 0; y < side; ++y)
    for (std::size_t x = 0; x < side; ++x) map(y, x) = labels[y / cell * columns + x / cell];
  return map;
}

int run_confusion(bench::Arguments arguments, std::size_t classes) {
  std::size_t const side = std::stoul(arguments.option("--side", "2000"));
  std::size_t const repetitions = std::stoul(arguments.option("--repetitions", "15"));
  auto const json = arguments.option("--json");
  double const label_bytes = 4. * static_cast<double>(side * side);
  struct Case {
    char const* name;
    std::size_t truth_cell, prediction_cell;
  };
  constexpr Case cases[] = {{"one class", std::size_t{1} << 20, std::size_t{1} << 20},
                            {"regions of 100 x 100", 100, 93},
                            {"regions of 20 x 20", 20, 23},
                            {"noise, pixel by pixel", 1, 1}};
  std::vector<LabelMap> from(2, blocks(side, 1, classes, 5)), to = from;
  Json record{{"classes", classes}, {"side", side}};
  bench::print_header({"confusion matrix, " + std::to_string(classes) + " classes, " + std::to_string(side) + " x " +
                           std::to_string(side),
                       "ms", "labels, GB/s", "copy of as many bytes, GB/s", "share", "ns per pixel"});
  for (auto const& c : cases) {
    auto const truth = blocks(side, c.truth_cell, classes, 1), prediction = blocks(side, c.prediction_cell, classes, 2);
    ConfusionMatrix matrix(classes);
    double best = 1e9, copy = 1e9;
    for (std::size_t r = 0; r < repetitions; ++r) {  // in turn
      best = std::min(best, bench::seconds([&] { matrix.add(prediction, truth); }));
      copy = std::min(copy, bench::seconds([&] {
                        for (std::size_t m = 0; m < 2; ++m)
                          std::memcpy(to[m].labels.data(), from[m].labels.data(), 2 * side * side);
                      }));
    }
    if (matrix.pixels() != static_cast<std::int64_t>(repetitions * side * side)) return 1;
    record["cases"].push_back({{"name", c.name}, {"seconds", best}, {"copy_seconds", copy}});
    bench::print_row({c.name, bench::text("%.2f", best * 1e3), bench::text("%.1f", label_bytes / best * 1e-9),
                      bench::text("%.1f", label_bytes / copy * 1e-9), bench::text("%.0f %%", 100 * copy / best),
                      bench::text("%.2f", best * 4e9 / label_bytes)});
  }
  bench::write_json(json, record);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as the kovos tool does
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  try {
    bench::Arguments arguments(count, values);
    auto const classes = arguments.option("--confusion");
    return classes.empty() ? run_loop(arguments) : run_confusion(arguments, std::stoul(classes));
  } catch (std::exception const& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
