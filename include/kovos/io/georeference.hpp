// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kovos {

/// Where on earth a picture lies, as GeoTIFF's tags have it, not interpreted. Whatever has the same size can carry it.
struct Georeference {
  std::vector<double> pixel_scale;     // 33550
  std::vector<double> tiepoints;       // 33922
  std::vector<double> transformation;  // 34264
  std::vector<std::uint16_t> keys;     // 34735
  std::vector<double> key_doubles;     // 34736
  std::string key_text;                // 34737

  bool empty() const { return pixel_scale.empty() && tiepoints.empty() && transformation.empty() && keys.empty(); }
};

}  // namespace kovos
