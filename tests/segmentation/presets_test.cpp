// SPDX-License-Identifier: Apache-2.0
// The lists of presets, and what the documentation says of them.

#include "kovos/segmentation/cat_seg_presets.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/clip/presets.hpp"
#include "kovos/core/preset.hpp"
#include "kovos/segmentation/any_model.hpp"

namespace {

using namespace kovos;

std::string page(std::string const& name) {
  std::ifstream file(std::string(KOVOS_TEST_DATA) + "/../../docs/" + name);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The lines of a page that begin with this.
std::vector<std::string> lines_with(std::string const& text, std::string const& start) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(start)) found.push_back(line);
  return found;
}

constexpr CatSegConfig mine = [] {
  auto c = cat_seg_tiny;
  c.hidden_dim = 16;
  return c;
}();
constexpr auto with_mine = with_presets(cat_seg_presets, {{"mine", mine}});
// Of its shapes is another that comes first.
constexpr auto with_twin = with_presets(with_mine, {{"twin", [] {
                                                       auto c = mine;
                                                       c.test.stride = 32;
                                                       return c;
                                                     }()}});

template <auto const& Presets>
std::vector<std::string> found_for(CatSegConfig const& config) {
  std::vector<std::string> names;
  auto const fits = [&]<CatSegConfig Config>() { return shape_of(Config) == shape_of(config); };
  bool const any =
      visit_first_preset<Presets>(fits, [&]<CatSegConfig>(std::string_view name) { names.emplace_back(name); });
  CHECK(any == !names.empty());
  return names;
}

}  // namespace

TEST_CASE("presets: each is found by its shapes, once; one's own beside those of Kovos") {
  for (auto const& preset : cat_seg_presets) {
    std::string const name(preset.name == "cat_seg_scenes_144" ? "cat_seg_scenes" : preset.name);
    CHECK(found_for<cat_seg_presets>(preset.config) == std::vector<std::string>{name});
    CHECK(found_for<with_twin>(preset.config) == std::vector<std::string>{name});
  }
  CHECK(found_for<cat_seg_presets>(mine).empty());
  CHECK(found_for<with_mine>(mine) == std::vector<std::string>{"mine"});
  CHECK(found_for<with_twin>(with_twin.back().config) == std::vector<std::string>{"mine"});
  CHECK(preset_name<cat_seg_scenes_144> == "cat_seg_scenes_144");
  CHECK(preset_name<mine> == "custom");
  CHECK(name_in(with_mine, mine) == "mine");
  CHECK(clip_preset_name<clip_vit_l14> == "clip_vit_l14");
  CHECK(names_of(with_mine) ==
        "cat_seg_vit_b16, cat_seg_vit_l14_336, cat_seg_scenes, cat_seg_scenes_144, "
        "cat_seg_tiny or mine");
}

TEST_CASE("presets: the documentation lists them, and no others, with their numbers") {
  auto const checkpoints = page("checkpoints.md");
  CHECK(lines_with(checkpoints, "| `cat_seg_").size() == cat_seg_presets.size());
  for (auto const& [name, c] : cat_seg_presets) {
    CAPTURE(std::string(name));
    auto const rows = lines_with(checkpoints, "| `" + std::string(name) + "` |");
    REQUIRE(rows.size() == 1);
    auto const side = std::to_string(c.clip_resolution);
    CHECK(rows[0].find(" at " + side + " x " + side + " |") != std::string::npos);
    CHECK(rows[0].ends_with("| " + std::to_string(c.hidden_dim) + ", " + std::to_string(c.num_layers) + ", " +
                            std::to_string(c.window_size) + " |"));
  }
  for (auto const& preset : clip_presets)
    CHECK(checkpoints.find("`" + std::string(preset.name) + "`") != std::string::npos);
  auto const setting = lines_with(page("training.md"), "| `model` |");
  REQUIRE(setting.size() == 1);
  for (auto const& preset : cat_seg_presets)
    CHECK(setting[0].find("`" + std::string(preset.name) + "`") != std::string::npos);
}
