// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// The operands of attention along the leading axis: a sequence for each position, a contiguous slice of the last axis
/// for each head. q, k, v: [length, positions, heads * head_dim]. repeated_key, repeated_value: [heads * head_dim], one
/// more key and value that stand `repeats` times at the end of each sequence; not read where repeats is 0.
struct LeadingAxis {
  float const *q = nullptr, *k = nullptr, *v = nullptr;
  float const *repeated_key = nullptr, *repeated_value = nullptr;
  std::size_t length = 0, positions = 0, heads = 1, head_dim = 0;
  float repeats = 0;
};

/// What a gradient reads and writes beside. dy, dq, dk, dv: as q; d_repeated_key, d_repeated_value: one row for each
/// position, [positions, heads * head_dim]. All but dy are added to and may be nullptr.
struct LeadingAxisGradient : LeadingAxis {
  float const* dy = nullptr;
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;
  float *d_repeated_key = nullptr, *d_repeated_value = nullptr;
};

}  // namespace kovos::problem
