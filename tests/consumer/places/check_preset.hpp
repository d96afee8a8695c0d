// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "drawn.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "kovos/text/word_list.hpp"

namespace places {

/// A list finds its preset by a file's shapes, under its name, and gives the labels of the model itself; Kovos' own
/// list does not know it.
template <auto const& Presets, kovos::CatSegConfig Config>
void check_preset(std::string_view name) {
  std::filesystem::path const weights = std::string(name) + ".safetensors", merges = "merges.txt";
  kovos::write_safetensors(weights, drawn<kovos::CatSegNetwork<Config, float, Kokkos::HostSpace>>());
  kovos::write_file_atomically(merges, [](std::ostream& out) {
    out << "#version: 0.2\n";
    for (char a = 'a'; a <= 'z'; ++a)
      for (char b = 'a'; b <= 't' && (a - 'a') * 20 + (b - 'a') < 510; ++b) out << a << ' ' << b << '\n';
  });
  try {
    (void)kovos::AnyModel<>::load(weights, merges);
    check(false, "a preset that Kovos does not have was found in its list");
  } catch (kovos::CheckpointError const& error) {
    std::string const text = error.what();
    check(text.find("no preset has this geometry") != text.npos, "another error than expected: " + text);
  }
  auto const model = kovos::AnyModel<>::load<Presets>(weights, merges);
  check(model.preset() == name, "the preset is called " + std::string(model.preset()));
  check(model.config() == Config, "another configuration was chosen");

  kovos::Image picture{40, 60, std::vector<std::uint8_t>(40 * 60 * 3)};
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  auto const classes = kovos::class_list(std::vector<std::string>{"sky", "grass", "road"});
  auto const labels = model.segment(picture, model.encode(classes)).labels;
  auto const itself = kovos::CatSeg<Config>::load(weights, merges);
  check(labels.height == 40 && labels.width == 60, "the labels have another size than the picture");
  check(labels.labels == itself.segment(picture, itself.encode(classes)).labels.labels,
        "the preset gives other labels than its model");
}

}  // namespace places
