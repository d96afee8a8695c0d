// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "kovos/io/image_options.hpp"

namespace kovos::cli {

/// --bit-depth and --ignore-orientation: how pictures are decoded. `options` must outlive the parsing.
inline void add_image_options(CLI::App& command, ImageOptions& options) {
  command
      .add_option_function<std::string>(
          "--bit-depth",
          [&options](std::string const& name) {
            options.bit_depth = name == "scale" ? BitDepth::scale : BitDepth::saturate;
          },
          "16-bit pictures: saturate (as Pillow: grey above 255 is white, colour keeps its high byte) or scale "
          "(0..65535 "
          "to 0..255) [saturate]")
      ->check(CLI::IsMember({"saturate", "scale"}));
  command.add_flag_callback(
      "--ignore-orientation", [&options] { options.apply_orientation = false; },
      "Take the pixels as they are stored, whatever orientation EXIF or XMP states");
}

}  // namespace kovos::cli
