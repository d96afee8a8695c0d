// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/softmax.hpp"
#include "kovos/segmentation/outputs.hpp"

namespace kovos {

/// A mask set as class maps: S_k(x) = sum over the masks n of p_nk sigmoid(m_n(x)), with p the softmax over the classes
/// and void, which is left out then. Cheng et al. 2021 (MaskFormer), section 3.4. Not normalised; may exceed 1.
template <class Memory>
class MaskClassMaps {
 public:
  /// Throws ShapeError if there are no classes, or not as many masks as rows of class logits.
  template <class Exec>
  MaskClassMaps(Context<Exec> const& context, MaskSet<Memory> const& set) : classes_(0) {
    detail::check_mask_set("MaskClassMaps", set);
    classes_.resize(set.classes());
    std::iota(classes_.begin(), classes_.end(), std::size_t{0});
    probabilities_ = softmax(context, set.class_logits);
    inside_ = context.workspace().template tensor<float>(set.masks.extents());
    assign(context, inside_, set.masks);
    activate(context, inside_, Activation::sigmoid);
  }

  std::vector<std::size_t> const& classes() const { return classes_; }
  std::array<std::size_t, 2> size() const { return {inside_.extent(1), inside_.extent(2)}; }

  template <class Exec>
  DynamicTensor<float, 4, Memory> tile(Context<Exec> const& context, std::size_t first, std::size_t count) const {
    std::size_t const masks = inside_.extent(0), height = inside_.extent(1), width = inside_.extent(2);
    auto const maps = context.template tensor<float>(count, height, width, std::size_t{1});
    std::size_t const positions = height * width, columns = probabilities_.extent(1);
    Matrix<float const> const p{probabilities_.data() + first, count, masks, 1, columns};
    Matrix<float const> const m{inside_.data(), masks, positions, positions, 1};
    // Scores decide between classes, and this product is a small part of the work: never of rounded operands.
    gemm(context.with_precision(MatmulPrecision::fp32), p, m,
         Matrix<float>{maps.data(), count, positions, positions, 1});
    return maps;
  }

 private:
  std::vector<std::size_t> classes_;
  DynamicTensor<float, 2, Memory> probabilities_;  // [N, K + 1]
  DynamicTensor<float, 3, Memory> inside_;         // [N, h, w]
};

template <class Exec, class Memory>
MaskClassMaps(Context<Exec> const&, MaskSet<Memory> const&) -> MaskClassMaps<Memory>;

}  // namespace kovos
