// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/window.hpp"

namespace kovos {

/// Score added between positions of different regions of a shifted window, as the Swin Transformer does.
inline constexpr float window_mask = -100.0f;

namespace detail {

/// Softmax attention of `batch` sequences; regions: [region_period, keys] or nullptr, sequence n uses row n % period.
template <class Exec>
void attention_portable(Context<Exec> const& context, float const* q, float const* k, float const* v, float* o,
                        std::size_t batch, std::size_t queries, std::size_t keys, std::size_t heads,
                        std::size_t head_dim, float scale, bool causal, std::uint8_t const* regions,
                        std::size_t region_period) {
  std::size_t const width = heads * head_dim;
  for_each_index(
      context, "kovos::attention", batch * heads * queries, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % queries;
        std::size_t const h = index / queries % heads;
        std::size_t const n = index / queries / heads;
        float const* const query = q + (n * queries + i) * width + h * head_dim;
        float* const out = o + (n * queries + i) * width + h * head_dim;
        std::uint8_t const* const region = regions ? regions + n % region_period * keys : nullptr;
        std::size_t const last = causal ? i + 1 : keys;
        // Online softmax: the running maximum rescales what was summed before.
        float top = -Kokkos::Experimental::finite_max_v<float>;
        float total = 0;
        for (std::size_t d = 0; d < head_dim; ++d) out[d] = 0;
        for (std::size_t j = 0; j < last; ++j) {
          float const* const key = k + (n * keys + j) * width + h * head_dim;
          float const* const value = v + (n * keys + j) * width + h * head_dim;
          float score = 0;
          for (std::size_t d = 0; d < head_dim; ++d) score += query[d] * key[d];
          score = score * scale + (region && region[i] != region[j] ? window_mask : 0.0f);
          if (score > top) {
            float const shrink = Kokkos::exp(top - score);
            total *= shrink;
            for (std::size_t d = 0; d < head_dim; ++d) out[d] *= shrink;
            top = score;
          }
          float const p = Kokkos::exp(score - top);
          total += p;
          for (std::size_t d = 0; d < head_dim; ++d) out[d] += p * value[d];
        }
        for (std::size_t d = 0; d < head_dim; ++d) out[d] /= total;
      });
}

#ifdef KOVOS_HOST_ENGINE
/// The host engine's softmax attention in the precision of a context.
struct HostAttentionKernel {
  void (*run)(HostAttention const&);
  std::size_t (*scratch)(std::size_t keys, std::size_t head_dim);  // floats

  template <class Exec>
  explicit HostAttentionKernel(Context<Exec> const& context) {
    if (auto const* const half = bf16_kernels(context)) {
      run = half->attention;
      scratch = half->attention_scratch;
    } else {
      run = best_host_kernels().attention;
      scratch = best_host_kernels().attention_scratch;
    }
  }
};
#endif

inline void check_heads(char const* where, std::size_t width, std::size_t heads) {
  require<ShapeError>(heads > 0 && width % heads == 0, "[", where, "] ", heads, " heads do not divide the width ",
                      width);
}

}  // namespace detail

namespace detail {
/// What softmax attention is beside its operands.
struct AttentionOptions {
  std::size_t heads = 1;
  bool causal = false;
  float scale = 0;                        // 0: 1 / sqrt(head_dim)
  std::uint8_t const* regions = nullptr;  // [region_period, keys], as above
  std::size_t region_period = 1;
};

template <class Exec>
auto run_attention(char const* where, Context<Exec> const& context,
                   DynamicTensor<float, 3, typename Exec::memory_space> const& q,
                   DynamicTensor<float, 3, typename Exec::memory_space> const& k,
                   DynamicTensor<float, 3, typename Exec::memory_space> const& v, AttentionOptions const& options) {
  std::size_t const batch = q.extent(0), queries = q.extent(1), width = q.extent(2), keys = k.extent(1);
  std::size_t const heads = options.heads;
  bool const causal = options.causal;
  check_heads(where, width, heads);
  require_extent(where, "k.extent(0)", k.extent(0), batch);
  require_extent(where, "k.extent(2)", k.extent(2), width);
  require<ShapeError>(k.extents() == v.extents(), "[", where, "] k is ", k.extents(), ", v is ", v.extents());
  require<ShapeError>(!causal || queries == keys, "[", where, "] causal attention needs as many keys as queries, got ",
                      keys, " and ", queries);
  require<ShapeError>(keys > 0 || queries == 0, "[", where, "] there are no keys");
  std::size_t const head_dim = width / heads;
  float const scale = options.scale == 0 ? 1.0f / std::sqrt(static_cast<float>(head_dim)) : options.scale;
  auto o = context.template tensor<float>(batch, queries, width);
  if (o.size() == 0) return o;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      HostAttentionKernel const kernel(context);
      std::size_t const tasks = batch * heads;
      std::size_t const threads = workers(context, tasks);
      auto const scratch = context.template tensor<float>(threads, kernel.scratch(keys, head_dim));
      for_each_task(context, "kovos::attention", threads, tasks, [&](std::size_t task, std::size_t worker) {
        std::size_t const n = task / heads;
        std::size_t const offset = task % heads * head_dim;
        HostAttention t;
        t.q = q.data() + n * queries * width + offset;
        t.k = k.data() + n * keys * width + offset;
        t.v = v.data() + n * keys * width + offset;
        t.o = o.data() + n * queries * width + offset;
        t.q_stride = t.k_stride = t.v_stride = t.o_stride = width;
        t.queries = queries;
        t.keys = keys;
        t.head_dim = head_dim;
        t.scale = scale;
        t.causal = causal;
        if (options.regions) t.region = options.regions + n % options.region_period * keys;
        t.scratch = scratch.data() + worker * scratch.extent(1);
        kernel.run(t);
      });
      return o;
    }
#endif
  attention_portable(context, q.data(), k.data(), v.data(), o.data(), batch, queries, keys, heads, head_dim, scale,
                     causal, options.regions, options.region_period);
  return o;
}
}  // namespace detail

/// Multi-head softmax attention: softmax(scale q k^T) v per head; heads are contiguous slices of the last axis.
/// q: [N, L, D], k, v: [N, S, D] -> [N, L, D]. scale 0 means 1 / sqrt(D / heads). causal: position i sees 0..i only.
/// Vaswani et al. 2017, section 3.2. Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
auto attention(Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
               DynamicTensor<float, 3, typename Exec::memory_space> const& k,
               DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads, bool causal = false,
               float scale = 0) {
  return detail::run_attention("attention", context, q, k, v, {heads, causal, scale, nullptr, 1});
}

/// Multi-head attention between positions of windows that are cut already: where regions of query and key differ, -100
/// is added to the score. q, k, v: [N, L, D], regions: [R, L], sequence n has those of row n % R, or empty: all may see
/// each other -> [N, L, D]. Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
auto attention_in_regions(Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
                          DynamicTensor<float, 3, typename Exec::memory_space> const& k,
                          DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
                          DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> const& regions) {
  require_extent("attention_in_regions", "k.extent(1)", k.extent(1), q.extent(1));
  if (!regions.empty()) require_extent("attention_in_regions", "regions.extent(1)", regions.extent(1), k.extent(1));
  return detail::run_attention("attention_in_regions", context, q, k, v,
                               {heads, false, 0, regions.data(), std::max<std::size_t>(1, regions.extent(0))});
}

/// Multi-head attention inside windows of window x window pixels, cut after a cyclic shift by (-shift, -shift); with a
/// shift, pixels that were not neighbours before it are masked with -100 as in the authors' code. Scores are scaled by
/// 1 / sqrt(D / heads). q, k, v: [N, H, W, D] -> [N, H, W, D]. Liu et al. 2021 (Swin), section 3.2.
/// Throws ShapeError if window does not divide H and W, heads does not divide D, or the extents disagree.
template <class Exec>
auto window_attention(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& q,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& k,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& v, std::size_t heads,
                      std::size_t window, std::size_t shift) {
  std::size_t const n = q.extent(0), height = q.extent(1), width = q.extent(2), depth = q.extent(3);
  detail::check_heads("window_attention", depth, heads);
  detail::check_window("window_attention", height, width, window, shift);
  require<ShapeError>(q.extents() == k.extents() && q.extents() == v.extents(), "[window_attention] q is ", q.extents(),
                      ", k is ", k.extents(), ", v is ", v.extents());
  std::size_t const head_dim = depth / heads;
  std::size_t const columns = width / window;
  std::size_t const windows = height / window * columns;
  std::size_t const length = window * window;
  float const scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  auto const regions = window_regions(context, height, width, window, shift);  // [windows, length]

#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      auto o = context.template tensor<float>(n, height, width, depth);
      detail::HostAttentionKernel const kernel(context);
      std::size_t const tasks = n * windows;
      std::size_t const threads = detail::workers(context, tasks);
      std::size_t const gathered = length * depth;
      auto const scratch = context.template tensor<float>(threads, 4 * gathered + kernel.scratch(length, head_dim));
      detail::for_each_task(
          context, "kovos::window_attention", threads, tasks, [&](std::size_t task, std::size_t worker) {
            std::size_t const sample = task / windows;
            std::size_t const w = task % windows;
            float* const buffer = scratch.data() + worker * scratch.extent(1);
            float* const out = buffer + 3 * gathered;
            // Where each run of pixels of the window lives: rows wrap around after the shift.
            auto const pixel = [&](std::size_t y, std::size_t x) {
              std::size_t const row = (w / columns * window + y + shift) % height;
              std::size_t const column = (w % columns * window + x + shift) % width;
              return ((sample * height + row) * width + column) * depth;
            };
            float const* const sources[3] = {q.data(), k.data(), v.data()};
            for (std::size_t y = 0; y < window; ++y)
              for (std::size_t x = 0; x < window; ++x) {
                std::size_t const from = pixel(y, x);
                for (std::size_t s = 0; s < 3; ++s)
                  std::copy_n(sources[s] + from, depth, buffer + s * gathered + (y * window + x) * depth);
              }
            detail::HostAttention t;
            t.q_stride = t.k_stride = t.v_stride = t.o_stride = depth;
            t.queries = t.keys = length;
            t.head_dim = head_dim;
            t.scale = scale;
            t.region = shift ? regions.data() + w * length : nullptr;
            t.scratch = out + gathered;
            for (std::size_t h = 0; h < heads; ++h) {
              t.q = buffer + h * head_dim;
              t.k = t.q + gathered;
              t.v = t.k + gathered;
              t.o = out + h * head_dim;
              kernel.run(t);
            }
            for (std::size_t y = 0; y < window; ++y)
              for (std::size_t x = 0; x < window; ++x)
                std::copy_n(out + (y * window + x) * depth, depth, o.data() + pixel(y, x));
          });
      return o;
    }
#endif
  auto const qw = window_partition(context, q, window, shift);
  auto const kw = window_partition(context, k, window, shift);
  auto const vw = window_partition(context, v, window, shift);
  auto const ow = context.template tensor<float>(n * windows, length, depth);
  detail::attention_portable(context, qw.data(), kw.data(), vw.data(), ow.data(), n * windows, length, length, heads,
                             head_dim, scale, false, shift ? regions.data() : nullptr, windows);
  return window_reverse(context, ow, n, height, width, window, shift);
}

}  // namespace kovos
