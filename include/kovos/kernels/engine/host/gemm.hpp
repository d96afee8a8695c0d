// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/host/packed_layout.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace kovos {

namespace detail {

/// Packs columns [first, first + width) of b into one panel [rows, width], zero padded to `width`.
template <class B>
void pack_panel(Matrix<B const> const& b, std::size_t first, std::size_t width, float alpha, float* panel) {
  std::size_t const count = std::min(width, b.columns - first);
  std::size_t const block = 16;  // keeps the strided side in the first-level cache
  for (std::size_t k0 = 0; k0 < b.rows; k0 += block) {
    std::size_t const k1 = std::min(b.rows, k0 + block);
    if (b.row_stride == 1) {
      for (std::size_t j = 0; j < count; ++j) {
        B const* source = b.data + (first + j) * b.column_stride;
        for (std::size_t k = k0; k < k1; ++k) panel[k * width + j] = alpha * static_cast<float>(source[k]);
      }
    } else if (b.column_stride == 1) {
      for (std::size_t k = k0; k < k1; ++k) {
        B const* source = b.data + k * b.row_stride + first;
        for (std::size_t j = 0; j < count; ++j) panel[k * width + j] = alpha * static_cast<float>(source[j]);
      }
    } else {
      for (std::size_t k = k0; k < k1; ++k)
        for (std::size_t j = 0; j < count; ++j)
          panel[k * width + j] = alpha * static_cast<float>(b.data[k * b.row_stride + (first + j) * b.column_stride]);
    }
    for (std::size_t k = k0; k < k1; ++k)
      for (std::size_t j = count; j < width; ++j) panel[k * width + j] = 0;
  }
}

/// The same in bf16, for HostBf16Kernels.
template <class B>
void pack_bf16_panel(Matrix<B const> const& b, std::size_t first, std::size_t width, float alpha,
                     std::uint16_t* panel) {
  std::size_t const count = std::min(width, b.columns - first);
  auto const value = [&](std::size_t k, std::size_t j) {
    if (k >= b.rows || j >= count) return std::uint16_t{0};
    return bf16::round(alpha * static_cast<float>(b.data[k * b.row_stride + (first + j) * b.column_stride]));
  };
  for (std::size_t k = 0; k < b.rows; k += 2)
    for (std::size_t j = 0; j < width; ++j) {
      *panel++ = value(k, j);
      *panel++ = value(k + 1, j);
    }
}

/// How the product is shared: chunks of rows times some panels of columns.
struct ProductTasks {
  std::size_t chunk, row_tasks, threads, column_tasks, panels_per_task;

  template <class Exec>
  ProductTasks(Context<Exec> const& context, std::size_t rows, std::size_t tile_rows, std::size_t panels)
      : chunk(8 * tile_rows), row_tasks((rows + chunk - 1) / chunk), threads(workers(context, row_tasks * panels)) {
    column_tasks = row_tasks >= 4 * threads ? 1 : std::min(panels, (4 * threads + row_tasks - 1) / row_tasks);
    panels_per_task = (panels + column_tasks - 1) / column_tasks;
  }
};

inline HostEpilogue host_epilogue(Epilogue const& e) {
  HostEpilogue h;
  h.addend = e.addend.data;
  h.addend_stride = e.addend.row_stride;
  h.row_divisor = e.row_divisor;
  h.row_period = std::max<std::size_t>(1, e.addend.rows);
  h.activation = e.activation;
  h.residual = e.residual.data;
  h.residual_stride = e.residual.row_stride;
  return h;
}

/// Where the block of c at this row and column is, and what happens to it before it is stored.
template <class A, class B, class T>
void place_product(problem::Product<A, B, float> const& p, std::size_t row, std::size_t column,
                   std::size_t most_columns, HostProduct<T>& g) {
  g.first_row = row;
  g.columns = std::min(most_columns, p.c.columns - column);
  g.c = p.c.data + row * p.c.row_stride + column;
  g.c_stride = p.c.row_stride;
  g.epilogue = host_epilogue(p.epilogue);
  if (g.epilogue.addend) g.epilogue.addend += column;
  if (g.epilogue.residual) g.epilogue.residual += row * g.epilogue.residual_stride + column;
}

/// p.b in panels [depth, width] of E, kept if its memory is constant.
template <class E, class Exec, class A, class B>
auto packed_panels(Context<Exec> const& context, problem::Product<A, B, float> const& p, std::size_t depth,
                   std::size_t width, PackedLayout layout) {
  std::size_t const panels = (p.c.columns + width - 1) / width, size = panels * depth * width;
  return context.packed().template get<E>(
      {p.alpha == 1 ? p.b.data : nullptr, {p.b.rows, p.b.columns, p.b.row_stride, p.b.column_stride, width, layout}},
      size, [&] { return context.template tensor<E>(size); },
      [&](auto const& to) {
        std::size_t const packers = size < 65536 ? 1 : workers(context, panels);
        for_each_task(context, "kovos::gemm pack", packers, panels, [&](std::size_t panel, std::size_t) {
          auto* const start = to.data() + panel * depth * width;
          if constexpr (std::is_same_v<E, float>) pack_panel(p.b, panel * width, width, p.alpha, start);
          else pack_bf16_panel(p.b, panel * width, width, p.alpha, start);
        });
      });
}

template <class Exec, class A, class B>
void gemm_bf16(Context<Exec> const& context, problem::Product<A, B, float> const& p, HostBf16Kernels const& kernels) {
  std::size_t const depth = p.a.columns + (p.a.columns & 1);
  std::size_t const width = kernels.columns;
  std::size_t const panels = (p.c.columns + width - 1) / width;
  auto const packed = packed_panels<std::uint16_t>(context, p, depth, width, packed_as_bf16_matrix);
  ProductTasks const tasks(context, p.c.rows, kernels.rows, panels);
  std::size_t const stride = depth + 32;
  auto const scratch = context.template tensor<std::uint16_t>(tasks.threads, tasks.chunk * stride);
  for_each_task(context, "kovos::gemm", tasks.threads, tasks.row_tasks * tasks.column_tasks,
                [&](std::size_t task, std::size_t worker) {
                  std::size_t const row = task / tasks.column_tasks * tasks.chunk;
                  std::size_t const panel = task % tasks.column_tasks * tasks.panels_per_task;
                  if (panel >= panels) return;
                  HostBf16GemmBlock g;
                  g.rows = std::min(tasks.chunk, p.c.rows - row);
                  g.segment_length = depth;
                  auto* const copy = scratch.data() + worker * scratch.extent(1);
                  for (std::size_t i = 0; i < g.rows; ++i) {
                    auto const* const from = p.a.data + (row + i) * p.a.row_stride;
                    auto* const to = copy + i * stride;
                    to[depth - 1] = 0;
                    if constexpr (std::is_same_v<A, float>)
                      if (p.a.column_stride == 1) {
                        kernels.round(from, to, p.a.columns);
                        continue;
                      }
                    for (std::size_t k = 0; k < p.a.columns; ++k)
                      to[k] = bf16::round(static_cast<float>(from[k * p.a.column_stride]));
                  }
                  g.a = copy;
                  g.a_stride = stride;
                  place_product(p, row, panel * width, tasks.panels_per_task * width, g);
                  g.packed_b = packed.data() + panel * depth * width;
                  kernels.gemm(g);
                });
}

template <class Exec, class A, class B>
void gemm_host(Context<Exec> const& context, problem::Product<A, B, float> const& p, HostKernels const& kernels) {
  // Long sums, as those of weight gradients over all rows of a batch, are formed in parts that stay in the cache.
  constexpr std::size_t longest = 4096, part = 512;
  if (p.a.columns > longest && p.epilogue.activation == Activation::none) {
    for (std::size_t k = 0; k < p.a.columns; k += part) {
      auto q = p;
      q.a.data += k * p.a.column_stride;
      q.b.data += k * p.b.row_stride;
      q.a.columns = q.b.rows = std::min(part, p.a.columns - k);
      if (k > 0) {
        q.epilogue = {};
        q.epilogue.residual = {p.c.data, p.c.rows, p.c.columns, p.c.row_stride, p.c.column_stride};
      }
      gemm_host(context, q, kernels);
    }
    return;
  }
  std::size_t const depth = p.a.columns;
  std::size_t const width = kernels.columns;
  std::size_t const panels = (p.c.columns + width - 1) / width;

  auto const packed = packed_panels<float>(context, p, depth, width, packed_as_matrix);

  // Rows whose stride is a multiple of the page size fall on the same cache sets; others are read where they are. A
  // transposed matrix is copied as it lies, column by column.
  bool const transposed = p.a.row_stride == 1 && p.a.column_stride != 1;
  bool const copies =
      !std::is_same_v<A, float> || p.a.column_stride != 1 || (depth > 256 && p.a.row_stride % 1024 == 0);
  ProductTasks const tasks(context, p.c.rows, kernels.rows, panels);
  std::size_t const chunk = tasks.chunk;
  std::size_t const stride = depth + 16;
  auto const scratch = context.template tensor<float>(tasks.threads, copies ? chunk * stride : 0);

  for_each_task(context, "kovos::gemm", tasks.threads, tasks.row_tasks * tasks.column_tasks,
                [&](std::size_t task, std::size_t worker) {
                  std::size_t const row = task / tasks.column_tasks * chunk;
                  std::size_t const panel = task % tasks.column_tasks * tasks.panels_per_task;
                  if (panel >= panels) return;
                  HostGemmBlock g;
                  g.rows = std::min(chunk, p.c.rows - row);
                  g.segment_length = depth;
                  g.a_stride = p.a.row_stride;
                  if constexpr (std::is_same_v<A, float>) g.a = p.a.data + row * p.a.row_stride;
                  if (copies) {
                    float* copy = scratch.data() + worker * chunk * stride;
                    g.a = copy;
                    g.a_stride = transposed ? 1 : stride;
                    g.a_step = transposed ? chunk : 1;
                    if (transposed) {
                      for (std::size_t k = 0; k < depth; ++k)
                        for (std::size_t i = 0; i < g.rows; ++i)
                          copy[k * chunk + i] = static_cast<float>(p.a.data[row + i + k * p.a.column_stride]);
                    } else {
                      for (std::size_t i = 0; i < g.rows; ++i)
                        for (std::size_t k = 0; k < depth; ++k)
                          copy[i * stride + k] =
                              static_cast<float>(p.a.data[(row + i) * p.a.row_stride + k * p.a.column_stride]);
                    }
                  }
                  place_product(p, row, panel * width, tasks.panels_per_task * width, g);
                  g.packed_b = packed.data() + panel * depth * width;
                  kernels.gemm(g);
                });
}

}  // namespace detail

namespace engine {

template <class Exec, class A, class B>
requires(is_host_execution<Exec>&& is_model_scalar<A>&& is_model_scalar<B>) bool run(
    Host, Context<Exec> const& context, problem::Product<A, B, float> const& p) {
  if (p.a.columns == 0 || !has_unit_columns(p)) return false;
  if (auto const* const bf16 = detail::bf16_kernels(context)) detail::gemm_bf16(context, p, *bf16);
  else detail::gemm_host(context, p, detail::best_host_kernels());
  return true;
}

}  // namespace engine

}  // namespace kovos
