// SPDX-License-Identifier: Apache-2.0
#include "labelled_pictures.hpp"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "command.hpp"
#include "folder.hpp"
#include "kovos/data/dataset.hpp"
#include "kovos/data/prepared_benchmark.hpp"
#include "kovos/data/published_benchmark.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/io/picture_names.hpp"
#include "pictures.hpp"

namespace kovos::cli {

namespace {

LabelledPictures scenes() {
  LabelledPictures pictures;
  std::vector<std::string> names;
  for (auto const& entry : scene_classes()) {
    if (entry.seen) pictures.seen.push_back(names.size());
    names.push_back(entry.name);
  }
  pictures.classes = class_list(names);
  for (std::size_t i = 0; i < benchmark_scenes.count; ++i) pictures.names.push_back("scene " + std::to_string(i));
  pictures.load = [](std::size_t i) {
    auto scene = benchmark_scene(i);
    return SegmentationSample{std::move(scene.image), std::move(scene.labels), {}};
  };
  pictures.kind = "scenes";
  return pictures;
}

FolderLayout layout_of(std::string const& name) {
  if (auto const layout = find_layout(name)) return *layout;
  std::string list;
  for (auto const layout : folder_layouts) list += (list.empty() ? "" : ", ") + std::string(name_of(layout));
  throw UsageError("--layout " + name + ": expected one of " + list);
}

std::int64_t size_of(std::filesystem::path const& file) {
  std::error_code failure;
  auto const size = std::filesystem::file_size(file, failure);
  return failure ? 0 : static_cast<std::int64_t>(size);
}

/// Takes the pictures of a folder or benchmark that was found.
template <class Found>
void take(std::shared_ptr<Found> found, std::string const& kind, LabelledPictures& pictures) {
  for (std::size_t i = 0; i < found->size(); ++i) {
    pictures.names.push_back(found->name(i));
    pictures.stems.push_back(found->image_path(i).stem().string());
  }
  pictures.load = [found](std::size_t i) { return found->load(i); };
  pictures.file_sizes = [found](std::size_t i) {
    return std::vector<std::int64_t>{size_of(found->image_path(i)), size_of(found->label_path(i))};
  };
  pictures.kind = kind;
}

/// Takes the pictures of a benchmark from where detectron2's users have them: prepared labels, else the published ones.
bool take_benchmark(LabelledPicturesOptions const& options, std::filesystem::path const& root,
                    LabelledPictures& pictures) {
  if (auto prepared = PreparedBenchmark::find(options.benchmark, root, options.image)) {
    if (auto const sentence = left_out_of(prepared->image_path(0).parent_path(), is_picture_name))
      pictures.left_out.push_back(*sentence);
    take(std::make_shared<PreparedBenchmark const>(std::move(*prepared)),
         options.benchmark + " one label file per picture", pictures);
    return true;
  }
  if (auto published = PublishedBenchmark::find(options.benchmark, root, options.image)) {
    take(std::make_shared<PublishedBenchmark const>(std::move(*published)), options.benchmark + " as published",
         pictures);
    return true;
  }
  return false;
}

/// A sentence if the data set is not all there: labels that were not unpacked leave no other trace.
void compare_with_published(Benchmark const& benchmark, LabelledPictures& pictures) {
  if (benchmark.pictures == 0 || pictures.size() == benchmark.pictures) return;
  pictures.left_out.push_back("pictures with labels here: " + std::to_string(pictures.size()) + ", in the benchmark " +
                              std::string(benchmark.name) + ": " + std::to_string(benchmark.pictures) +
                              "; the scores are not comparable with those that are published");
}

std::string names_of_benchmarks() {
  std::string list;
  for (auto const& benchmark : detail::benchmarks) list += std::string(benchmark.name) + ", ";
  return list + "or one of MESS such as " + std::string(detail::mess_benchmarks[0].name);
}

}  // namespace

std::vector<std::string> LabelledPictures::scored_names() const {
  std::vector<std::string> result;
  for (auto const& entry : classes) result.push_back(entry.name);
  if (background_from == 0) return result;
  result.resize(background_from);
  result.emplace_back("background");
  return result;
}

namespace {

LabelledPictures find_pictures(LabelledPicturesOptions const& options) {
  if (options.data == "scenes" && options.benchmark.empty()) return scenes();
  LabelledPictures pictures;
  std::vector<std::string> class_names;
  if (!options.benchmark.empty()) {
    auto const* const benchmark = find_benchmark(options.benchmark);
    if (benchmark == nullptr)
      throw UsageError("--benchmark " + options.benchmark + ": there is no such benchmark, expected " +
                       names_of_benchmarks());
    pictures.classes = parse_classes(options.benchmark);
    pictures.background_from = benchmark->background_from.value_or(0);
    class_names = pictures.scored_names();
  }
  std::string data = options.data;
  if (data.empty()) {
    char const* const datasets = std::getenv("DETECTRON2_DATASETS");
    if (datasets == nullptr) throw UsageError("--data or the variable DETECTRON2_DATASETS must name the data set");
    data = datasets;
  }
  // As the evaluator of that package counts.
  if (options.benchmark.starts_with("mess_")) pictures.conventions = mess_conventions;
  if (take_benchmark(options, data, pictures)) return pictures;
  SegmentationFolderOptions folder_options;
  folder_options.layout = layout_of(options.layout);
  folder_options.class_names = class_names;
  folder_options.image = options.image;
  // The two that other folders may hold as well; of the others a folder that happens to lie there is not what is meant.
  bool const may_be_elsewhere = options.benchmark == "ade150" || options.benchmark == "coco171";
  auto const missing = options.layout == "automatic" ? missing_parts(options.benchmark, data) : std::string();
  require<DataError>(missing.empty() || may_be_elsewhere, missing);
  std::shared_ptr<SegmentationFolder> folder;
  try {
    folder = std::make_shared<SegmentationFolder>(open_folder(data, DatasetSplit::validation, folder_options));
  } catch (DataError const&) {
    if (missing.empty()) throw;
    fail<DataError>(missing);
  }
  require<DataError>(missing.empty() || folder->benchmark() == options.benchmark, missing);
  if (pictures.classes.empty()) pictures.classes = folder->class_list();
  take(folder, std::string(name_of(folder->layout())) + (options.benchmark.empty() ? "" : " " + options.benchmark),
       pictures);
  pictures.left_out = left_out_of(*folder);
  pictures.warning = folder->layout_warning();
  return pictures;
}

}  // namespace

LabelledPictures open_labelled_pictures(LabelledPicturesOptions const& options) {
  auto pictures = find_pictures(options);
  if (!options.benchmark.empty()) compare_with_published(*find_benchmark(options.benchmark), pictures);
  return pictures;
}

}  // namespace kovos::cli
