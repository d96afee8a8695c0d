// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/kernels/problem/leading_axis.hpp"

namespace kovos::problem {

/// o_l = phi(q_l) (sum_s phi(k_s) v_s^T) / (phi(q_l) . sum_s phi(k_s) + epsilon) with phi(x) = elu(x) + 1. o: as q.
struct LinearAttention : LeadingAxis {
  float* o = nullptr;
  float epsilon = 0;
};

/// With m = sum phi(k) v^T, z = sum phi(k), o = phi(q) m / (phi(q) z + e) and g = dy / (phi(q) z + e):
/// dphi(q) = m g - z (g o), dm = sum phi(q) g^T, dz = -sum phi(q) (g o), dv = dm^T phi(k), dphi(k) = dm v + dz.
struct LinearAttentionGradient : LeadingAxisGradient {
  float epsilon = 0;
};

}  // namespace kovos::problem
