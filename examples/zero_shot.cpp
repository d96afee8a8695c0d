// SPDX-License-Identifier: Apache-2.0
// Zero-shot classification of a whole picture with plain CLIP.
//   zero_shot WEIGHTS PICTURE WORDS [VOCABULARY]

#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <utility>

#include "kovos/clip/zero_shot.hpp"
#include "kovos/io/image.hpp"

int main(int count, char** arguments) try {
  if (count != 4 && count != 5) {
    std::fprintf(stderr, "usage: zero_shot WEIGHTS PICTURE WORDS [VOCABULARY]\n");
    return 2;
  }
  kovos::Runtime runtime;
  std::optional<std::filesystem::path> given;
  if (count == 5) given = arguments[4];
  auto const read = kovos::read_checkpoint(arguments[1]);
  auto const file = kovos::with_canonical_names(read);
  auto vocabulary = kovos::find_vocabulary(file, arguments[1], given);
  kovos::with_clip_preset(file, [&]<kovos::ClipConfig Config>() {
    auto const found = kovos::find_clip_settings(read, Config);  // activation and normalisation
    for (auto const& sentence : found.warnings) std::fprintf(stderr, "zero_shot: %s\n", sentence.c_str());
    auto const clip = kovos::Clip<Config>::from_tensors(file, std::move(vocabulary), {}, found.settings);
    auto const words = clip.encode(kovos::parse_classes(arguments[3]), kovos::prompt_templates("photo"));
    auto const probabilities = clip.classify(kovos::read_image(arguments[2]), words);
    for (std::size_t i = 0; i < probabilities.size(); ++i)
      std::printf("%6.2f %%  %s\n", 100 * static_cast<double>(probabilities[i]), words.names[i].c_str());
  });
  return 0;
} catch (std::exception const& error) {
  std::fprintf(stderr, "zero_shot: %s\n", error.what());
  return 1;
}
