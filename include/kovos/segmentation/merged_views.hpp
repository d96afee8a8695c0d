// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "kovos/segmentation/sliding_window.hpp"

namespace kovos {

/// The logits of all views of a picture as class maps: probabilities on the grid on which the views meet
/// (merge_views_on_grid), of the classes that any view computed.
template <class Memory>
class MergedViews {
 public:
  MergedViews(Views<Memory> views, std::vector<ClassLogits<Memory>> logits)
      : views_(std::move(views)), logits_(std::move(logits)), size_(merged_size(views_, logits_)) {
    for (auto const& view : logits_) classes_.insert(classes_.end(), view.classes.begin(), view.classes.end());
    std::sort(classes_.begin(), classes_.end());
    classes_.erase(std::unique(classes_.begin(), classes_.end()), classes_.end());
  }

  std::vector<std::size_t> const& classes() const { return classes_; }
  std::array<std::size_t, 2> size() const { return size_; }

  template <class Exec>
  DynamicTensor<float, 4, Memory> tile(Context<Exec> const& context, std::size_t first, std::size_t count) const {
    auto const maps = context.template tensor<float>(count, size_[0], size_[1], std::size_t{1});
    std::size_t const* const classes = classes_.data() + first;
    // Neighbours in the list are merged together, unless each core takes a class of its own.
    bool const apart = detail::runs_side_by_side(context, count);
    std::vector<std::size_t> runs{0};
    for (std::size_t t = 1; t <= count; ++t)
      if (apart || t == count || classes[t] != classes[t - 1] + 1) runs.push_back(t);
    detail::for_each_alone(context, "kovos::labels", runs.size() - 1, [&](Context<Exec> const& c, std::size_t task) {
      std::size_t const from = runs[task], length = runs[task + 1] - from;
      assign(c, maps.slice(from, length), merge_views_on_grid(c, views_, logits_, classes[from], length));
    });
    return maps;
  }

 private:
  Views<Memory> views_;
  std::vector<ClassLogits<Memory>> logits_;
  std::array<std::size_t, 2> size_;
  std::vector<std::size_t> classes_;
};

}  // namespace kovos
