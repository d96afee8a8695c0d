// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"

namespace kovos {

/// A picture and the class of each of its pixels, both [height, width]; LabelMap::unknown where there is none.
struct SegmentationSample {
  Image image;
  LabelMap labels;
  std::string name;  // the file's name without folder and extension
  /// Why the labels may not lie on the picture, or not mean what is taken; empty where nothing says so.
  std::string doubt = {};
};

}  // namespace kovos
