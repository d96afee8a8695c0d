// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kovos/io/image_options.hpp"
#include "kovos/io/result.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "pictures.hpp"

namespace kovos::cli {

/// What --window native takes beside the other options.
struct NativeOptions {
  std::optional<double> overlap;      // share of a window; default one half
  std::optional<std::size_t> window;  // native pixels; default what the network takes
  std::vector<std::size_t> bands;     // from 1; empty: the first three, or the first
  std::vector<double> range;          // values that become black and white; empty: as pictures are decoded

  bool any() const { return overlap || window || !bands.empty() || !range.empty(); }
  /// All of it as text, for fingerprints and the JSON's settings.
  std::string to_string() const;
};

void add_native_options(CLI::App& command, NativeOptions& options);

/// Throws UsageError for options that make no sense, also without --window native.
void check_native_options(NativeOptions const& options, bool native);

/// The ends of the files that segment_native writes of this picture.
std::vector<std::string> native_suffixes(Picture const& picture);

/// Segments one picture by windows of its own pixels and writes its files: labels (a TIFF with the picture's place on
/// earth for a TIFF, which is read by windows; else a PNG), an overlay of at most 2048 pixels, and the JSON, which is
/// returned. record: what is the same for all pictures. change: a last hand on the JSON before it is written.
nlohmann::ordered_json segment_native(NativeOptions const& native, Picture const& picture,
                                      std::filesystem::path const& folder, AnyModel<> const& model,
                                      AnyModel<>::Words const& words, SegmentOptions const& options,
                                      ImageOptions const& image_options, ResultRecord record,
                                      std::function<void(std::size_t, std::size_t)> const& progress = {},
                                      std::function<void(nlohmann::ordered_json&)> const& change = {});

}  // namespace kovos::cli
