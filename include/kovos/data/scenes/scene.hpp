// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"

namespace kovos {

/// An object of a scene as it is seen. The box holds its visible pixels: columns left..right and rows top..bottom, the
/// last ones exclusive.
struct SceneObject {
  std::size_t class_index = 0;
  std::size_t left = 0, top = 0, right = 0, bottom = 0;
  std::size_t visible_pixels = 0;
  std::string_view size_word;            // "small", "large" or empty
  std::vector<std::size_t> in_front_of;  // indices of the objects it partly hides
};

/// A picture of the procedural world, its exact labels (indices into scene_classes()), what is in it, and a caption.
struct Scene {
  Image image;
  LabelMap labels;
  std::vector<SceneObject> objects;  // back to front
  std::vector<std::size_t> stuff;    // class indices of the backgrounds: one, or the upper and the lower
  std::string caption;
};

}  // namespace kovos
