// SPDX-License-Identifier: Apache-2.0
// kovos scenes

#include "kovos/data/scenes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "progress.hpp"

namespace kovos::cli {

namespace {

struct SceneArguments {
  std::string out;
  std::string split = "benchmark";
  std::optional<std::uint64_t> count;
  std::uint64_t first = 0;
  std::size_t side = default_scene_side;
  bool force = false;
};

SceneSplit const& find_split(std::string const& name) {
  static constexpr SceneSplit splits[] = {benchmark_scenes, validation_scenes, training_scenes, caption_scenes};
  auto const found = std::find_if(std::begin(splits), std::end(splits), [&](auto const& s) { return s.name == name; });
  if (found == std::end(splits))
    throw UsageError("--split is '" + name + "', expected benchmark, validation, train or captions");
  return *found;
}

/// One class a line, as `--classes` of the other commands reads it.
void write_classes(std::filesystem::path const& folder) {
  write_file_atomically(folder / "classes.txt", [](std::ostream& stream) {
    for (auto const& scene_class : scene_classes()) {
      stream << scene_class.name;
      for (std::size_t i = 0; scene_class.synonyms.size() > 1 && i < scene_class.synonyms.size(); ++i)
        stream << (i == 0 ? " = " : ", ") << scene_class.synonyms[i];
      stream << '\n';
    }
  });
  write_file_atomically(folder / "unseen.txt", [](std::ostream& stream) {
    for (auto const& scene_class : scene_classes())
      if (!scene_class.seen) stream << scene_class.name << '\n';
  });
}

int write_scenes(SceneArguments const& arguments) {
  namespace fs = std::filesystem;
  auto const& split = find_split(arguments.split);
  if (arguments.side < 32 || arguments.side > 4096)
    throw UsageError("--side is " + std::to_string(arguments.side) + ", expected 32 to 4096 pixels");
  if (arguments.first >= split.count)
    throw UsageError("--seed is " + std::to_string(arguments.first) + ", but the split " + arguments.split + " has " +
                     std::to_string(split.count) + " scenes, the first of which is 0");
  std::uint64_t const left = split.count - arguments.first;
  std::uint64_t const count = arguments.count.value_or(std::min<std::uint64_t>(left, 1000));
  if (count == 0 || count > std::min<std::uint64_t>(left, 1000000))
    throw UsageError("--count is " + std::to_string(count) + ", expected 1 to " +
                     std::to_string(std::min<std::uint64_t>(left, 1000000)) + " scenes of the split " +
                     arguments.split + " from number " + std::to_string(arguments.first));
  fs::path const folder = arguments.out;
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error))
    throw UsageError("--out '" + arguments.out + "' is a file, expected a folder");
  if (fs::exists(folder, error) && !arguments.force && !fs::is_empty(folder, error))
    throw UsageError("the folder '" + arguments.out +
                     "' is not empty: choose another, or add --force to replace the files that have our names");
  for (char const* part : {"images", "annotations"}) {
    fs::create_directories(folder / part, error);
    if (error) fail<FileError>(detail::shown(folder / part), " could not be made: ", error.message());
  }
  write_classes(folder);
  Progress progress(count);
  write_file_atomically(folder / "captions.txt", [&](std::ostream& stream) {
    for (std::uint64_t i = 0; i < count; ++i) {
      char name[32];
      std::snprintf(name, sizeof name, "%06llu.png", static_cast<unsigned long long>(i));
      auto const scene = split_scene(split, arguments.first + i, arguments.side);
      write_png(folder / "images" / name, scene.image);
      write_png_labels(folder / "annotations" / name, scene.labels, 8);
      stream << name << '\t' << scene.caption << '\n';
      progress.show(i + 1, name);
    }
  });
  progress.clear();
  std::printf("%llu scenes of the split %s are in %s\n", static_cast<unsigned long long>(count),
              arguments.split.c_str(), arguments.out.c_str());
  return done;
}

}  // namespace

void add_scenes(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<SceneArguments>();
  auto* command = app.add_subcommand("scenes", "Write pictures of the procedural world with labels and captions");
  command
      ->add_option("--out", arguments->out, "Folder for images/, annotations/, classes.txt, unseen.txt, captions.txt")
      ->required();
  command->add_option("--split", arguments->split, "benchmark, validation, train or captions")->capture_default_str();
  command->add_option("--count", arguments->count, "How many scenes (default: the whole split, at most 1000)");
  command->add_option("--seed", arguments->first, "Number of the split's first scene to write")->capture_default_str();
  command->add_option("--side", arguments->side, "Side of the pictures in pixels")->capture_default_str();
  command->add_flag("--force", arguments->force, "Write into a folder that holds something already");
  command->callback([arguments, &action] { action = [arguments] { return write_scenes(*arguments); }; });
}

}  // namespace kovos::cli
