// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#ifdef KOVOS_ENABLE_TIFF
#include "kovos/core/error.hpp"
#include "kovos/io/tiff.hpp"
#endif

extern "C" int LLVMFuzzerTestOneInput([[maybe_unused]] std::uint8_t const* data, [[maybe_unused]] std::size_t size) {
#ifdef KOVOS_ENABLE_TIFF
  std::span<std::byte const> const bytes(reinterpret_cast<std::byte const*>(data), size);
  try {
    kovos::TiffReader reader(bytes, "input");
    auto const& layout = reader.layout();
    // Not more than a corner: pictures that truly are large take long.
    (void)reader.read(0, 0, std::min<std::size_t>(layout.height, 64), std::min<std::size_t>(layout.width, 64));
    if (layout.height * layout.width > 1 << 16) return 0;
    (void)kovos::detail::decode_tiff(reader, {});
    (void)kovos::detail::decode_tiff_labels(reader);
  } catch (kovos::ImageError const&) {
  }
#endif
  return 0;
}
