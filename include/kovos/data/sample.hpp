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
};

}  // namespace kovos
