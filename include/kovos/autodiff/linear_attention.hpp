// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/linear_attention.hpp"

namespace kovos {

namespace detail {

KOKKOS_INLINE_FUNCTION float elu_feature(float x) { return x > 0 ? x + 1 : Kokkos::exp(x); }
KOKKOS_INLINE_FUNCTION float elu_feature_slope(float x) { return x > 0 ? 1.0f : Kokkos::exp(x); }

/// What the gradient of attention along the leading axis reads and writes; the pointers to gradients may be nullptr.
/// q, k, v, dy: [length, positions, width]; the repeated key and value: [width]; its gradients, one row per position.
struct LeadingAxisGradient {
  float const *q, *k, *v, *dy;
  float const *padding_key, *padding_value;
  float *dq, *dk, *dv;
  float *padding_dk, *padding_dv;  // [positions, width]
  std::size_t length, positions, heads, head_dim;
  float repeats;
};

/// With m = sum phi(k) v^T, z = sum phi(k), o = phi(q) m / (phi(q) z + e) and g = dy / (phi(q) z + e):
/// dphi(q) = m g - z (g o), dm = sum phi(q) g^T, dz = -sum phi(q) (g o), dv = dm^T phi(k), dphi(k) = dm v + dz.
template <class Exec>
void linear_attention_gradient(Context<Exec> const& context, LeadingAxisGradient const& t) {
  std::size_t const width = t.heads * t.head_dim, d2 = t.head_dim * t.head_dim;
  constexpr float epsilon = 1e-6f;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      std::size_t const threads = workers(context, t.positions), dim = t.head_dim;
      std::size_t const size = 2 * t.heads * d2 + d2 + 5 * width;
      auto const scratch = context.template tensor<float>(threads, size);
      for_each_task(
          context, "kovos::linear_attention_gradient", threads, t.positions, [&](std::size_t p, std::size_t worker) {
            float* const m = scratch.data() + worker * size;  // [heads, dim, dim]
            float* const dm = m + t.heads * d2;
            float* const flipped = dm + t.heads * d2;  // [dim, dim]
            float* const z = flipped + d2;
            float* const dz = z + width;
            float* const phi = dz + width;
            float* const g = phi + width;
            float* const row = g + width;
            std::fill_n(m, 2 * t.heads * d2, 0.0f);
            std::fill_n(z, 2 * width, 0.0f);
            auto const at = [&](std::size_t s) { return (s * t.positions + p) * width; };
            auto const features = [&](float const* x, float count) {
              std::copy_n(x, width, phi);
              kernels.elu_plus_one(phi, width);
              if (count != 1)
                for (std::size_t i = 0; i < width; ++i) phi[i] *= count;
            };
            auto const sum_up = [&](float const* key, float const* value, float count) {
              features(key, count);
              for (std::size_t i = 0; i < width; ++i) z[i] += phi[i];
              for (std::size_t h = 0; h < t.heads; ++h)
                kernels.outer_product(m + h * d2, phi + h * dim, value + h * dim, dim, dim);
            };
            for (std::size_t s = 0; s < t.length; ++s) sum_up(t.k + at(s), t.v + at(s), 1);
            if (t.repeats > 0) sum_up(t.padding_key, t.padding_value, t.repeats);

            for (std::size_t h = 0; h < t.heads; ++h) {
              for (std::size_t i = 0; i < dim; ++i)
                for (std::size_t j = 0; j < dim; ++j) flipped[j * dim + i] = m[h * d2 + i * dim + j];
              for (std::size_t s = 0; s < t.length; ++s) {
                float const* const query = t.q + at(s) + h * dim;
                float* const f = phi + h * dim;
                std::copy_n(query, dim, f);
                kernels.elu_plus_one(f, dim);
                float denominator = epsilon;
                for (std::size_t i = 0; i < dim; ++i) denominator += f[i] * z[h * dim + i];
                float const inverse = 1 / denominator;
                kernels.row_times_matrix(row, f, m + h * d2, dim, dim, inverse);  // the output
                float along = 0;
                for (std::size_t i = 0; i < dim; ++i) {
                  g[i] = t.dy[at(s) + h * dim + i] * inverse;
                  along += g[i] * row[i];
                }
                kernels.outer_product(dm + h * d2, f, g, dim, dim);
                for (std::size_t i = 0; i < dim; ++i) dz[h * dim + i] -= f[i] * along;
                if (!t.dq) continue;
                kernels.row_times_matrix(row, g, flipped, dim, dim, 1);
                // phi is the exponential or x + 1, so its slope is the feature itself or 1.
                for (std::size_t i = 0; i < dim; ++i)
                  t.dq[at(s) + h * dim + i] += (row[i] - z[h * dim + i] * along) * (query[i] > 0 ? 1.0f : f[i]);
              }
            }
            auto const spread = [&](float const* key, float const* value, float count, float* dk, float* dv) {
              features(key, count);
              for (std::size_t h = 0; h < t.heads; ++h) {
                if (dv) {
                  kernels.row_times_matrix(row, phi + h * dim, dm + h * d2, dim, dim, 1);
                  for (std::size_t i = 0; i < dim; ++i) dv[h * dim + i] += row[i];
                }
                if (!dk) continue;
                for (std::size_t i = 0; i < dim; ++i) {
                  float sum = dz[h * dim + i];
                  float const* const line = dm + h * d2 + i * dim;
                  for (std::size_t j = 0; j < dim; ++j) sum += line[j] * value[h * dim + j];
                  dk[h * dim + i] += sum * (key[h * dim + i] > 0 ? count : phi[h * dim + i]);
                }
              }
            };
            for (std::size_t s = 0; s < t.length; ++s)
              spread(t.k + at(s), t.v + at(s), 1, t.dk ? t.dk + at(s) : nullptr, t.dv ? t.dv + at(s) : nullptr);
            if (t.padding_dk || t.padding_dv)
              spread(t.padding_key, t.padding_value, t.repeats, t.padding_dk ? t.padding_dk + p * width : nullptr,
                     t.padding_dv ? t.padding_dv + p * width : nullptr);
          });
      return;
    }
#endif
  auto const state = context.template tensor<float>(t.positions * t.heads, 2 * d2 + 2 * t.head_dim);
  auto* const states = state.data();
  std::size_t const stride = state.extent(1);
  for_each_index(
      context, "kovos::linear_attention_gradient", t.positions * t.heads, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const p = index / t.heads, h = index % t.heads, dim = t.head_dim;
        float* const m = states + index * stride;
        float* const dm = m + d2;
        float* const z = dm + d2;
        float* const dz = z + dim;
        for (std::size_t i = 0; i < stride; ++i) m[i] = 0;
        for (std::size_t s = 0; s <= t.length; ++s) {
          if (s == t.length && t.repeats == 0) break;
          std::size_t const at = (s * t.positions + p) * width + h * dim;
          float const* const key = s < t.length ? t.k + at : t.padding_key + h * dim;
          float const* const value = s < t.length ? t.v + at : t.padding_value + h * dim;
          for (std::size_t i = 0; i < dim; ++i) {
            float const f = elu_feature(key[i]) * (s < t.length ? 1.0f : t.repeats);
            z[i] += f;
            for (std::size_t j = 0; j < dim; ++j) m[i * dim + j] += f * value[j];
          }
        }
        for (std::size_t s = 0; s < t.length; ++s) {
          std::size_t const at = (s * t.positions + p) * width + h * dim;
          float const* const query = t.q + at;
          float denominator = epsilon;
          for (std::size_t i = 0; i < dim; ++i) denominator += elu_feature(query[i]) * z[i];
          float along = 0;
          for (std::size_t j = 0; j < dim; ++j) {
            float o = 0;
            for (std::size_t i = 0; i < dim; ++i) o += elu_feature(query[i]) * m[i * dim + j];
            along += t.dy[at + j] * o;
          }
          along /= denominator * denominator;
          for (std::size_t i = 0; i < dim; ++i) {
            float const f = elu_feature(query[i]);
            float slope = 0;
            for (std::size_t j = 0; j < dim; ++j) {
              float const g = t.dy[at + j] / denominator;
              dm[i * dim + j] += f * g;
              slope += m[i * dim + j] * g;
            }
            dz[i] -= f * along;
            if (t.dq) t.dq[at + i] += (slope - z[i] * along) * elu_feature_slope(query[i]);
          }
        }
        for (std::size_t s = 0; s <= t.length; ++s) {
          bool const real = s < t.length;
          if (!real && t.repeats == 0) break;
          std::size_t const at = (s * t.positions + p) * width + h * dim;
          float const* const key = real ? t.k + at : t.padding_key + h * dim;
          float const* const value = real ? t.v + at : t.padding_value + h * dim;
          float* const dk =
              real ? (t.dk ? t.dk + at : nullptr) : (t.padding_dk ? t.padding_dk + p * width + h * dim : nullptr);
          float* const dv =
              real ? (t.dv ? t.dv + at : nullptr) : (t.padding_dv ? t.padding_dv + p * width + h * dim : nullptr);
          float const count = real ? 1.0f : t.repeats;
          for (std::size_t i = 0; i < dim; ++i) {
            float sum = dz[i];
            float const f = elu_feature(key[i]) * count;
            for (std::size_t j = 0; j < dim; ++j) {
              sum += dm[i * dim + j] * value[j];
              if (dv) dv[j] += dm[i * dim + j] * f;
            }
            if (dk) dk[i] += sum * elu_feature_slope(key[i]) * count;
          }
        }
      });
}

/// The softmax variant, by plain loops; one position and head at a time.
template <class Exec>
void leading_axis_attention_gradient(Context<Exec> const& context, LeadingAxisGradient const& t) {
  std::size_t const width = t.heads * t.head_dim;
  float const scale = 1.0f / std::sqrt(static_cast<float>(t.head_dim));
  for_each_index(
      context, "kovos::leading_axis_attention_gradient", t.positions * t.heads, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const p = index / t.heads, h = index % t.heads, dim = t.head_dim;
        std::size_t const keys = t.length + (t.repeats > 0 ? 1 : 0);
        for (std::size_t l = 0; l < t.length; ++l) {
          std::size_t const at = (l * t.positions + p) * width + h * dim;
          auto const offset = [&](std::size_t s) { return (s * t.positions + p) * width + h * dim; };
          auto const dot = [&](float const* a, float const* b) {
            float sum = 0;
            for (std::size_t d = 0; d < dim; ++d) sum += a[d] * b[d];
            return sum;
          };
          auto const key = [&](std::size_t s) { return s < t.length ? t.k + offset(s) : t.padding_key + h * dim; };
          auto const value = [&](std::size_t s) { return s < t.length ? t.v + offset(s) : t.padding_value + h * dim; };
          float top = -Kokkos::Experimental::finite_max_v<float>;
          for (std::size_t s = 0; s < keys; ++s) {
            float const score = scale * dot(t.q + at, key(s));
            top = score > top ? score : top;
          }
          float total = 0, mean = 0;
          for (std::size_t s = 0; s < keys; ++s) {
            float const e = Kokkos::exp(scale * dot(t.q + at, key(s)) - top) * (s < t.length ? 1.0f : t.repeats);
            total += e;
            mean += e * dot(t.dy + at, value(s));
          }
          mean /= total;
          for (std::size_t s = 0; s < keys; ++s) {
            bool const real = s < t.length;
            float const weight = Kokkos::exp(scale * dot(t.q + at, key(s)) - top) * (real ? 1.0f : t.repeats) / total;
            float const ds = weight * (dot(t.dy + at, value(s)) - mean) * scale;
            float* const dk = real ? (t.dk ? t.dk + offset(s) : nullptr)
                                   : (t.padding_dk ? t.padding_dk + p * width + h * dim : nullptr);
            float* const dv = real ? (t.dv ? t.dv + offset(s) : nullptr)
                                   : (t.padding_dv ? t.padding_dv + p * width + h * dim : nullptr);
            for (std::size_t d = 0; d < dim; ++d) {
              if (t.dq) t.dq[at + d] += ds * key(s)[d];
              if (dk) dk[d] += ds * t.q[at + d];
              if (dv) dv[d] += weight * t.dy[at + d];
            }
          }
        }
      });
}

/// Records attention along the leading axis with the gradient computed by `run`.
template <class Exec, Recompute Policy, class Run>
void record_leading_axis(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& y,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& q,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& k,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
                         RepeatedKey<typename Exec::memory_space> const& padding, Run const& run) {
  auto const dq = tape.gradient_of(q.data()), dk = tape.gradient_of(k.data()), dv = tape.gradient_of(v.data());
  bool const repeats = padding.count > 0;
  auto const dpk = tape.gradient_of(repeats ? padding.key.data() : nullptr);
  auto const dpv = tape.gradient_of(repeats ? padding.value.data() : nullptr);
  tape.record(y.data(), {dq, dk, dv, dpk, dpv},
              {q.data(), k.data(), v.data(), padding.key.data(), padding.value.data()}, [=](auto const& t, float* dy) {
                auto const& context = t.context();
                std::size_t const positions = q.extent(1), width = q.extent(2);
                auto const partial = [&](bool needed) {
                  auto x = context.template tensor<float>(needed ? positions : 0, width);
                  if (needed) fill(context, x, 0.0f);
                  return x;
                };
                auto const pk = partial(bool(dpk)), pv = partial(bool(dpv));
                run(context, LeadingAxisGradient{q.data(), k.data(), v.data(), dy, padding.key.data(),
                                                 padding.value.data(), wanted(dq, context), wanted(dk, context),
                                                 wanted(dv, context), pk.data(), pv.data(), q.extent(0), positions,
                                                 heads, width / heads, static_cast<float>(padding.count)});
                if (dpk) add_column_sums(context, pk.data(), positions, width, width, dpk.accumulate(context));
                if (dpv) add_column_sums(context, pv.data(), positions, width, width, dpv.accumulate(context));
              });
}

}  // namespace detail

/// linear_attention with gradients, also for the repeated key and value.
template <class Exec, Recompute Policy>
auto linear_attention(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
                      DynamicTensor<float, 3, typename Exec::memory_space> const& k,
                      DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
                      RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  auto const y = tape.adopt(linear_attention(tape.context(), q, k, v, heads, padding));
  detail::record_leading_axis(tape, y, q, k, v, heads, padding, [](auto const& context, auto const& t) {
    detail::linear_attention_gradient(context, t);
  });
  return y;
}

/// leading_axis_attention with gradients, as above.
template <class Exec, Recompute Policy>
auto leading_axis_attention(Tape<Exec, Policy> const& tape,
                            DynamicTensor<float, 3, typename Exec::memory_space> const& q,
                            DynamicTensor<float, 3, typename Exec::memory_space> const& k,
                            DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
                            RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  auto const y = tape.adopt(leading_axis_attention(tape.context(), q, k, v, heads, padding));
  detail::record_leading_axis(tape, y, q, k, v, heads, padding, [](auto const& context, auto const& t) {
    detail::leading_axis_attention_gradient(context, t);
  });
  return y;
}

}  // namespace kovos
