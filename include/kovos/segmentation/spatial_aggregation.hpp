// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/nn/swin_block.hpp"

namespace kovos {

/// Smooths each class's cost map over its neighbourhood: a plain and a shifted Swin block, guided by the appearance of
/// the picture (CAT-Seg section 3.2; key `swin_block`).
template <std::size_t Dim, std::size_t Guide, std::size_t Heads, std::size_t Window, std::size_t Shift, class T,
          class Memory>
class SpatialAggregation {
 public:
  SwinBlock<Dim, Guide, Heads, T, Memory> block_1;
  SwinBlock<Dim, Guide, Heads, T, Memory> block_2;
  LayerNorm<Guide, T, Memory> guidance_norm;

  /// What both blocks take from the picture, the same for every class of a view.
  struct Guidance {
    typename SwinBlock<Dim, Guide, Heads, T, Memory>::Guidance first;
    typename SwinBlock<Dim, Guide, Heads, T, Memory>::Guidance second;

    /// That of view n of `views`.
    Guidance of_view(std::size_t n, std::size_t views) const {
      return {first.of_view(n, views), second.of_view(n, views)};
    }
  };

  /// appearance: [N, H, W, Guide] of N views, raw.
  template <execution_context C, class V, class Observer = Unobserved>
  Guidance project_guidance(C const& context, V const& appearance, Observer const& observe = {}) const {
    auto const normalised = guidance_norm(context, appearance);
    observe("guidance_norm", normalised);
    return {block_1.project_guidance(context, normalised, Window, 0),
            block_2.project_guidance(context, normalised, Window, shift_of(appearance))};
  }

  /// x: [T, H, W, Dim] of one view, overwritten where the context allows it; guidance: that view's -> [T, H, W, Dim].
  template <execution_context C, class V, class Observer = Unobserved>
  V operator()(C const& context, V const& x, Guidance const& guidance, Observer const& observe = {}) const {
    auto const y = block_1(context, x, guidance.first, Window, 0);
    observe("swin1", y);
    auto const z = block_2(context, y, guidance.second, Window, shift_of(x));
    observe("swin2", z);
    return z;
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    block_1.visit(f, prefix + "block_1.");
    block_2.visit(f, prefix + "block_2.");
    guidance_norm.visit(f, prefix + "guidance_norm.");
  }

 private:
  /// A window as large as the map is not shifted. x: [N, H, W, ...].
  template <class V>
  static std::size_t shift_of(V const& x) {
    return std::min(x.extent(1), x.extent(2)) <= Window ? 0 : Shift;
  }
};

}  // namespace kovos
