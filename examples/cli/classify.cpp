// SPDX-License-Identifier: Apache-2.0
// kovos classify

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "clip_settings.hpp"
#include "command.hpp"
#include "image_options.hpp"
#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/zero_shot.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/word_list.hpp"
#include "pictures.hpp"

namespace kovos::cli {

namespace {

struct Options {
  std::string model, classes, templates = "photo", vocabulary, activation = "auto";
  std::vector<std::string> images;
  std::size_t top = 5;
  ImageOptions image;
  bool json = false;
};

void print(Options const& o, Picture const& picture, std::vector<std::string> const& names,
           std::vector<float> const& probabilities) {
  std::vector<std::size_t> order(names.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return probabilities[a] > probabilities[b]; });
  order.resize(std::min(order.size(), o.top));
  if (o.json) {
    nlohmann::ordered_json out;
    out["image"] = picture.path.string();
    for (auto const i : order) out["classes"].push_back({{"name", names[i]}, {"probability", probabilities[i]}});
    std::printf("%s\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  std::printf("%s\n", picture.path.c_str());
  for (auto const i : order)
    std::printf("  %6.2f %%  %s\n", 100 * static_cast<double>(probabilities[i]), names[i].c_str());
}

int run(Options const& o) {
  auto const pictures = find_pictures(o.images);
  for (auto const& sentence : pictures.left_out) std::fprintf(stderr, "kovos: %s\n", sentence.c_str());
  auto const classes = parse_classes(o.classes);
  auto const templates = prompt_templates(o.templates);
  auto const read = read_checkpoint(o.model);
  auto const file = with_canonical_names(read);
  if (layout_of(file) == &cat_seg_layout)
    throw UsageError(
        "'" + o.model +
        "' is a CAT-Seg checkpoint, whose encoders were tuned to label pixels; classify needs a plain CLIP model");
  auto vocabulary = find_vocabulary(file, o.model, optional_path(o.vocabulary));
  return with_clip_preset(file, [&]<ClipConfig Config>() {
    auto const clip =
        Clip<Config>::from_tensors(file, std::move(vocabulary), {}, clip_settings(read, Config, o.activation));
    auto const words = clip.encode(classes, templates);
    int code = done;
    for (auto const& picture : pictures.all) {
      try {
        print(o, picture, words.names, clip.classify(load(picture, o.image), words));
      } catch (std::exception const& error) {
        std::fprintf(stderr, "kovos: %s\n", error.what());
        code = failed;
      }
    }
    return code;
  });
}

}  // namespace

void add_classify(CLI::App& app, Machine& machine, Action& action) {
  auto o = std::make_shared<Options>();
  auto* command = app.add_subcommand("classify", "Say which of your words fits a whole picture best (CLIP, zero-shot)");
  command->add_option("--model", o->model, "CLIP checkpoint: OpenAI, open_clip or Hugging Face")->required();
  command->add_option("--image", o->images, "Pictures: files, folders, patterns, or - for standard input")->required();
  command->add_option("--classes", o->classes, "\"a,b,c\", a file (text or JSON array), or a benchmark's name")
      ->required();
  command->add_option("--templates", o->templates, "Prompt template set; several are averaged")
      ->capture_default_str()
      ->check(CLI::IsMember({"single", "photo", "imagenet", "imagenet_select", "vild", "fc_clip"}));
  command->add_option("--vocabulary", o->vocabulary, "CLIP's vocabulary, if not beside the weights or in $KOVOS_HOME");
  add_activation_option(*command, o->activation);
  add_image_options(*command, o->image);
  command->add_option("--top", o->top, "How many classes to print")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_flag("--json", o->json, "Print one JSON line per picture");
  add_machine_options(*command, machine);
  command->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace kovos::cli
