// SPDX-License-Identifier: Apache-2.0
// What a project adds to Kovos without changing a header of it: one file each, and one line here.

#include <Kokkos_Core.hpp>
#include <cstdio>
#include <exception>

#include "check_encoder.hpp"
#include "check_preset.hpp"
#include "encoder.hpp"
#include "preset.hpp"

int main() try {
  Kokkos::ScopeGuard const kokkos;
  places::check_preset<places::presets, places::cat_seg_narrow>("cat_seg_narrow");
  // An encoder, and a model around it.
  places::check_encoder<places::cat_seg_pyramid.clip>();
  places::check_preset<places::presets_with_pyramid, places::cat_seg_pyramid>("cat_seg_pyramid");
  std::printf("all places hold\n");
  return 0;
} catch (std::exception const& error) {
  std::fprintf(stderr, "places: %s\n", error.what());
  return 1;
}
