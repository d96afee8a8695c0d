// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/problem/leading_axis.hpp"

namespace kovos {

/// Keys and values that stand `count` times at the end of every sequence: CAT-Seg's padding classes, which are all
/// equal. key, value: [D] each; their contribution is added in closed form, never materialised.
template <class Memory>
struct RepeatedKey {
  std::size_t count = 0;
  DynamicTensor<float, 1, Memory> key;
  DynamicTensor<float, 1, Memory> value;
};

namespace detail {

/// What attention along the leading axis reads. q, k, v: [S, P, D]. Throws ShapeError if the extents disagree or heads
/// does not divide D.
template <class Memory>
problem::LeadingAxis leading_axis(char const* where, DynamicTensor<float, 3, Memory> const& q,
                                  DynamicTensor<float, 3, Memory> const& k, DynamicTensor<float, 3, Memory> const& v,
                                  std::size_t heads, RepeatedKey<Memory> const& padding) {
  std::size_t const width = q.extent(2);
  check_heads(where, width, heads);
  require<ShapeError>(q.extents() == k.extents() && q.extents() == v.extents(), "[", where, "] q is ", q.extents(),
                      ", k is ", k.extents(), ", v is ", v.extents());
  if (padding.count > 0) {
    require_extent(where, "padding.key", padding.key.size(), width);
    require_extent(where, "padding.value", padding.value.size(), width);
  }
  problem::LeadingAxis x{q.data(), k.data(), v.data()};
  x.repeated_key = padding.key.data();
  x.repeated_value = padding.value.data();
  x.length = q.extent(0);
  x.positions = q.extent(1);
  x.heads = heads;
  x.head_dim = width / heads;
  x.repeats = static_cast<float>(padding.count);
  return x;
}

}  // namespace detail

}  // namespace kovos
