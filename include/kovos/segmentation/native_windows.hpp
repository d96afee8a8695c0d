// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/resample_part.hpp"
#include "kovos/segmentation/decode/labels.hpp"
#include "kovos/segmentation/segmentation.hpp"

namespace kovos {

/// A picture that is read by parts, so that it need not be in memory.
struct PictureParts {
  std::size_t height = 0, width = 0;  // pixels
  /// The pixels [top, top + height) x [left, left + width), always inside the picture.
  std::function<Image(std::size_t top, std::size_t left, std::size_t height, std::size_t width)> read;
  /// [height * width], not zero where these pixels hold no data and become LabelMap::unknown. None: all hold data.
  std::function<std::vector<std::uint8_t>(std::size_t top, std::size_t left, std::size_t height, std::size_t width)>
      no_data{};
};

/// How a picture is cut into windows of its own pixels.
struct NativeWindows {
  std::size_t window = 384;  ///< side in pixels; an axis of the picture that is shorter has one window, of its length
  double overlap = 0.5;      ///< share of a window that the next one covers again, 0 to 0.9
  std::size_t block = 512;   ///< labels come in blocks whose corners are multiples of this
  /// Bytes of scores to keep. Less means narrower strips, at whose borders windows are computed twice; the labels stay
  /// the same.
  std::size_t memory = std::size_t{256} << 20;

  std::size_t stride() const {
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(static_cast<double>(window) * (1 - overlap))));
  }
};

/// Where windows begin along an axis: every stride, the last one moved back inside, as MMSegmentation's
/// slide_inference.
inline std::vector<std::size_t> window_starts(std::size_t extent, std::size_t window, std::size_t stride) {
  std::vector<std::size_t> starts{0};
  while (starts.back() + window < extent) starts.push_back(std::min(starts.back() + stride, extent - window));
  return starts;
}

/// What is known of a segmented picture beside its labels.
struct NativeSegmentation {
  std::vector<std::string> names;
  std::vector<double> area;             // per class, share of the picture, 0..1
  std::vector<double> mean_confidence;  // per class, over its pixels; 0 where it has none
  double unknown_area = 0;              // share of the picture
  std::size_t windows = 0;              // that went through the network, those computed twice counted twice
  StageTimes times;                     // seconds per stage, if they were asked for
};

namespace detail {

/// Windows along one axis of the picture.
struct WindowAxis {
  std::vector<std::size_t> starts;
  std::size_t length;  // of a window

  WindowAxis(std::size_t extent, std::size_t window, std::size_t stride)
      : starts(window_starts(extent, window, stride)), length(std::min(extent, window)) {}

  bool meets(std::size_t i, std::size_t first, std::size_t last) const {
    return starts[i] < last && starts[i] + length > first;
  }
  /// [first, last) cut where the set of windows changes.
  std::vector<std::size_t> cuts(std::size_t first, std::size_t last) const {
    std::vector<std::size_t> result{first, last};
    for (auto const start : starts)
      for (auto const at : {start, start + length})
        if (at > first && at < last) result.push_back(at);
    std::sort(result.begin(), result.end());
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return result;
  }
  /// How many windows can meet a run of so many pixels.
  std::size_t most_meeting(std::size_t run, std::size_t stride) const {
    return std::min(starts.size(), (run + length) / stride + 2);
  }
};

/// Class maps of a cell of the picture that some windows cover everywhere: their scores added up, not yet divided by
/// their number.
template <class Scores>
class SummedWindows {
 public:
  /// Of a cell and of every window in pixels, height and width.
  SummedWindows(std::array<std::size_t, 2> cell, std::array<std::size_t, 2> window, std::size_t classes)
      : cell_(cell), window_(window), classes_(classes) {
    std::iota(classes_.begin(), classes_.end(), std::size_t{0});
  }

  /// A window in which the cell lies at (top, left). scores: [T, h, w, 1].
  void add(Scores const& scores, std::size_t top, std::size_t left) { parts_.push_back({scores, top, left}); }
  std::size_t windows() const { return parts_.size(); }

  std::vector<std::size_t> const& classes() const { return classes_; }
  std::array<std::size_t, 2> size() const { return cell_; }

  template <class Exec>
  Scores tile(Context<Exec> const& context, std::size_t first, std::size_t count) const {
    auto const sum = context.template tensor<float>(count, cell_[0], cell_[1], std::size_t{1});
    fill(context, sum, 0.0f);
    for (auto const& part : parts_)
      add_resized_part(context, sum, part.scores.slice(first, count), window_[0], window_[1], part.top, part.left);
    return sum;
  }

 private:
  struct Part {
    Scores scores;
    std::size_t top, left;
  };
  std::array<std::size_t, 2> cell_, window_;
  std::vector<std::size_t> classes_;
  std::vector<Part> parts_;
};

}  // namespace detail

/// Labels a picture of any size by windows at its own resolution: each window is segmented as a picture of its own
/// (WindowMode::whole), scores are averaged where windows overlap, and each pixel takes the best word. Memory does not
/// grow with the picture: it is worked through in strips of blocks, from top to bottom, and scores are kept on the
/// network's grid only. Labels do not depend on strips and blocks.
///
/// model: what has context() and grid_scores() as CatSeg and AnyModel. sink(top, left, labels) takes each block once.
/// progress(done, all), if given, is called after each window.
/// Throws ConfigError for an impossible option, and what reading, the model and the sink throw.
template <class Model, class Words>
NativeSegmentation segment_native(Model const& model, PictureParts const& picture, Words const& words,
                                  SegmentOptions options, NativeWindows const& native,
                                  std::function<void(std::size_t, std::size_t, LabelMap const&)> const& sink,
                                  std::function<void(std::size_t, std::size_t)> const& progress = {}) {
  require<ShapeError>(picture.height > 0 && picture.width > 0, "[segment_native] the picture is empty");
  require<ConfigError>(native.window > 0 && native.block > 0,
                       "[segment_native] windows and blocks need at least a pixel");
  require<ConfigError>(native.overlap >= 0 && native.overlap <= 0.9, "[segment_native] the overlap is ", native.overlap,
                       ", expected 0 to 0.9 of a window");
  require<ConfigError>(
      !options.keep_scores,
      "[segment_native] the scores of every class and pixel are too much for a picture by windows; ask "
      "for labels only");
  options.window = WindowMode::whole;
  auto const& context = model.context();
  std::size_t const stride = native.stride(), classes = words.names.size();
  detail::WindowAxis const down(picture.height, native.window, stride), across(picture.width, native.window, stride);

  NativeSegmentation result;
  StageTimes* const times = options.time_stages ? &result.times : nullptr;
  auto const scores_of = [&](std::size_t row, std::size_t column) {
    ++result.windows;
    return model.grid_scores(picture.read(down.starts[row], across.starts[column], down.length, across.length), words,
                             options, times);
  };
  using Scores = decltype(scores_of(0, 0));  // [T, h, w, 1]
  std::map<std::pair<std::size_t, std::size_t>, Scores> kept;
  kept.emplace(std::pair{0, 0}, scores_of(0, 0));

  // As many blocks side by side as the memory allows.
  auto const& grid = kept.begin()->second;
  std::size_t const fit =
      native.memory / std::max<std::size_t>(1, grid.size() * sizeof(float)) / down.most_meeting(native.block, stride);
  std::size_t const beside = (native.block + across.length) / stride + 2;  // windows of a strip of one block
  std::size_t const strip = native.block * (1 + (fit > beside ? (fit - beside) * stride / native.block : 0));
  std::size_t all = 0;
  for (std::size_t left = 0; left < picture.width; left += strip)
    for (std::size_t c = 0; c < across.starts.size(); ++c)
      if (across.meets(c, left, std::min(left + strip, picture.width))) all += down.starts.size();
  if (progress) progress(result.windows, all);

  std::vector<double> pixels(classes + 1, 0), confidence(classes + 1, 0);
  double unknown = 0;
  for (std::size_t left = 0; left < picture.width; left += strip) {
    std::size_t const right = std::min(left + strip, picture.width);
    for (std::size_t top = 0; top < picture.height; top += native.block) {
      std::size_t const bottom = std::min(top + native.block, picture.height);
      for (std::size_t r = 0; r < down.starts.size(); ++r)
        for (std::size_t c = 0; c < across.starts.size(); ++c) {
          if (!down.meets(r, top, bottom) || !across.meets(c, left, right) || kept.count({r, c})) continue;
          kept.emplace(std::pair{r, c}, scores_of(r, c));
          if (progress) progress(result.windows, all);
        }

      Segmentation block;
      {
        Stage stage(context, "labels", times);
        block.labels = {bottom - top, right - left, std::vector<std::uint16_t>((bottom - top) * (right - left))};
        block.confidence.resize(block.labels.labels.size());
        block.names = words.names;
        auto const rows = down.cuts(top, bottom), columns = across.cuts(left, right);
        for (std::size_t i = 0; i + 1 < rows.size(); ++i)
          for (std::size_t j = 0; j + 1 < columns.size(); ++j) {
            // The same windows cover this cell everywhere; they are added from left to right and down.
            std::size_t const height = rows[i + 1] - rows[i], width = columns[j + 1] - columns[j];
            detail::SummedWindows<Scores> cell({height, width}, {down.length, across.length}, classes);
            for (auto const& [place, scores] : kept)
              if (down.meets(place.first, rows[i], rows[i + 1]) &&
                  across.meets(place.second, columns[j], columns[j + 1]))
                cell.add(scores, rows[i] - down.starts[place.first], columns[j] - across.starts[place.second]);
            auto const chosen = choose_labels(context, cell, height, width);
            auto const share = 1.0f / static_cast<float>(cell.windows());
            for (std::size_t y = 0; y < height; ++y)
              for (std::size_t x = 0; x < width; ++x) {
                std::size_t const at = (rows[i] - top + y) * (right - left) + columns[j] - left + x;
                block.labels.labels[at] = chosen.labels(y, x);
                block.confidence[at] = chosen.confidence[y * width + x] * share;
              }
          }
        if (picture.no_data) {
          auto const empty = picture.no_data(top, left, bottom - top, right - left);
          for (std::size_t i = 0; i < empty.size(); ++i)
            if (empty[i]) block.labels.labels[i] = LabelMap::unknown;
        }
        finish(block, options);
        double const size = static_cast<double>(block.labels.labels.size());
        for (std::size_t t = 0; t < block.names.size(); ++t) {
          double const count = std::round(block.area[t] * size);
          pixels[t] += count;
          confidence[t] += block.mean_confidence[t] * count;
        }
        unknown += std::round(block.unknown_area * size);
        result.names = block.names;
      }
      {
        Stage stage(context, "writing", times);
        sink(top, left, block.labels);
      }
      std::erase_if(kept, [&](auto const& item) { return down.starts[item.first.first] + down.length <= bottom; });
    }
    kept.clear();
  }
  double const size = static_cast<double>(picture.height) * static_cast<double>(picture.width);
  for (std::size_t t = 0; t < result.names.size(); ++t) {
    result.area.push_back(pixels[t] / size);
    result.mean_confidence.push_back(pixels[t] > 0 ? confidence[t] / pixels[t] : 0);
  }
  result.unknown_area = unknown / size;
  return result;
}

}  // namespace kovos
