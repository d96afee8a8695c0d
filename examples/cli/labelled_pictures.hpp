// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kovos/data/sample.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos::cli {

/// What `kovos evaluate` scores: pictures with labels, the words, and the rules that go with them.
struct LabelledPictures {
  ClassList classes;                ///< what the model is asked for
  std::size_t background_from = 0;  ///< classes from this index on are scored as one, `background`; 0: none are
  std::vector<std::size_t> seen;    ///< classes that a model of ours was trained on; empty: no such distinction
  std::vector<std::string> names;   ///< of the pictures
  std::vector<std::string> stems;   ///< of their files where these end in more than the name; else empty
  std::function<SegmentationSample(std::size_t)> load;
  /// Bytes of the files of a picture: other data of the same names have other sizes. Empty for what is made, and 0 for
  /// what is not there.
  std::function<std::vector<std::int64_t>(std::size_t)> file_sizes = [](std::size_t) {
    return std::vector<std::int64_t>();
  };
  std::string kind;                    ///< what the labels are: scenes, or a layout with its benchmark
  std::vector<std::string> left_out;   ///< sentences on pictures that are not used
  std::optional<std::string> warning;  ///< labels that look as if they were of another layout
  MetricConventions conventions;

  std::size_t size() const { return names.size(); }
  /// The classes that the labels name.
  std::vector<std::string> scored_names() const;
};

struct LabelledPicturesOptions {
  std::string data, benchmark, layout = "automatic";
  ImageOptions image;
};

/// Opens what --data, --benchmark and --layout name. Throws UsageError, DataError, FileError or TextError.
LabelledPictures open_labelled_pictures(LabelledPicturesOptions const& options);

}  // namespace kovos::cli
