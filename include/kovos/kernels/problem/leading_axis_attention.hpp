// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/kernels/problem/leading_axis.hpp"

namespace kovos::problem {

/// o_l = softmax(scale q_l k^T) v, where the repeated key counts as often as it stands. o: as q.
struct LeadingAxisAttention : LeadingAxis {
  float* o = nullptr;
  float scale = 1;
};

/// The gradient of LeadingAxisAttention; the probabilities are computed again.
struct LeadingAxisAttentionGradient : LeadingAxisGradient {
  float scale = 1;
};

}  // namespace kovos::problem
