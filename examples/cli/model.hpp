// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>

#include "kovos/segmentation/any_model.hpp"

namespace kovos::cli {

/// The model of --model, or the embedded one, with --vocabulary and --precision. In a file of its own, because
/// compiling all presets takes a minute and one time is enough.
AnyModel<> load_model(std::string const& model, std::string const& vocabulary, std::string const& precision);

/// The options that compute less, into what segment() takes.
inline void add_less_work_options(CLI::App& command, SegmentOptions& options) {
  auto const add = [&](char const* name, std::size_t& value, char const* what) {
    command.add_option(name, value, what)->check(CLI::NonNegativeNumber);
  };
  add("--most-classes", options.most_classes,
      "Compute only so many classes per view, those most alike something in it (default: all)");
  add("--most-decoded", options.most_decoded,
      "Decode only so many classes per view, those that win in a coarse pass (default: all)");
  add("--layers", options.layers, "Run only the first so many aggregation layers (default: all)");
}

}  // namespace kovos::cli
