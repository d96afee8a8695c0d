// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kovos {

/// What a label file holds, without a meaning: no value stands for "none" yet. The numbers are those of Pillow's
/// np.asarray(Image.open(file)).
struct LabelFile {
  std::size_t height = 0, width = 0;  // pixels
  int bits = 8;                       ///< 8 or 16: how wide the values are once decoded
  std::vector<std::uint16_t> values;  // [height * width]
  /// The values are indices of a palette of more than two greys that are not their own indices. "Lossless" optimisers
  /// make such files of grey labels; then the greys were the labels, and the indices mean nothing.
  bool grey_palette = false;
};

}  // namespace kovos
