// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/select.hpp"
#ifdef KOVOS_ENABLE_EIGEN
#include "kovos/kernels/engine/eigen.hpp"
#endif
#ifdef KOVOS_ENABLE_ONEDNN
#include "kovos/kernels/engine/onednn.hpp"
#endif

namespace kovos {

/// A matrix somewhere in memory: element (i, j) is data[i * row_stride + j * column_stride].
template <class T>
struct Matrix {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t row_stride = 0;
  std::size_t column_stride = 1;

  /// The same memory with rows and columns exchanged.
  Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }

  /// A matrix of mutable elements is also one of constant elements.
  template <class U>
  requires(!std::is_const_v<T> && std::is_same_v<U, T const>) operator Matrix<U>() const {
    return {data, rows, columns, row_stride, column_stride};
  }
};

/// All leading axes of a tensor as rows, its last axis as columns: [..., C] -> [prod(...), C].
template <tensor_like X>
auto as_matrix(X const& x) {
  static_assert(X::rank() >= 1, "kovos::as_matrix: a scalar has no rows");
  std::size_t const columns = x.extent(X::rank() - 1);
  using T = std::remove_pointer_t<decltype(x.data())>;
  return Matrix<T>{x.data(), columns == 0 ? 0 : x.size() / columns, columns, columns, 1};
}

/// What happens to a product before it is stored:
/// C = activation(alpha A B + addend[(row / row_divisor) % addend.rows]) + residual.
/// A bias is an addend of one row; the guidance of CAT-Seg's attention is one with a row per pixel or per class.
struct Epilogue {
  Matrix<float const> addend{};  // no data: nothing is added
  std::size_t row_divisor = 1;
  Activation activation = Activation::none;
  Matrix<float const> residual{};  // same extents as C, may be C itself; no data: nothing is added
};

namespace detail {

template <class A, class B, class C>
struct Product {
  Matrix<A const> a;
  Matrix<B const> b;
  Matrix<C> c;
  float alpha;
  Epilogue epilogue;
};

template <class Exec, class A, class B, class C>
void gemm_portable(Context<Exec> const& context, Product<A, B, C> const& p) {
  using Sum = accumulate_t<C>;
  auto const a = p.a;
  auto const b = p.b;
  auto const c = p.c;
  auto const e = p.epilogue;
  auto const alpha = static_cast<Sum>(p.alpha);
  for_each_index(
      context, "kovos::gemm", c.rows * c.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / c.columns;
        std::size_t const j = index % c.columns;
        Sum sum = 0;
        for (std::size_t k = 0; k < a.columns; ++k)
          sum += static_cast<Sum>(a.data[i * a.row_stride + k * a.column_stride]) *
                 static_cast<Sum>(b.data[k * b.row_stride + j * b.column_stride]);
        sum *= alpha;
        if (e.addend.data)
          sum += static_cast<Sum>(
              e.addend.data[(i / e.row_divisor) % e.addend.rows * e.addend.row_stride + j * e.addend.column_stride]);
        sum = activated(sum, e.activation);
        if (e.residual.data)
          sum += static_cast<Sum>(e.residual.data[i * e.residual.row_stride + j * e.residual.column_stride]);
        c.data[i * c.row_stride + j * c.column_stride] = static_cast<C>(sum);
      });
}

/// What PackedOperands hold. The numbers and what they mean are kept on disk: see PackedFile::format.
enum PackedLayout : std::size_t {
  packed_as_matrix,
  packed_as_half_matrix,
  packed_as_convolution,
  packed_as_half_convolution,
  composed_with_upsampling
};

#ifdef KOVOS_HOST_ENGINE

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

/// The same in bf16, for HostHalfKernels.
template <class B>
void pack_half_panel(Matrix<B const> const& b, std::size_t first, std::size_t width, float alpha,
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
void place_product(Product<A, B, float> const& p, std::size_t row, std::size_t column, std::size_t most_columns,
                   HostProduct<T>& g) {
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
auto packed_panels(Context<Exec> const& context, Product<A, B, float> const& p, std::size_t depth, std::size_t width,
                   PackedLayout layout) {
  std::size_t const panels = (p.c.columns + width - 1) / width, size = panels * depth * width;
  return context.packed().template get<E>(
      {p.alpha == 1 ? p.b.data : nullptr, {p.b.rows, p.b.columns, p.b.row_stride, p.b.column_stride, width, layout}},
      size, [&] { return context.template tensor<E>(size); },
      [&](auto const& to) {
        std::size_t const packers = size < 65536 ? 1 : workers(context, panels);
        for_each_task(context, "kovos::gemm pack", packers, panels, [&](std::size_t panel, std::size_t) {
          auto* const start = to.data() + panel * depth * width;
          if constexpr (std::is_same_v<E, float>) pack_panel(p.b, panel * width, width, p.alpha, start);
          else pack_half_panel(p.b, panel * width, width, p.alpha, start);
        });
      });
}

template <class Exec, class A, class B>
void gemm_half(Context<Exec> const& context, Product<A, B, float> const& p, HostHalfKernels const& kernels) {
  std::size_t const depth = p.a.columns + (p.a.columns & 1);
  std::size_t const width = kernels.columns;
  std::size_t const panels = (p.c.columns + width - 1) / width;
  auto const packed = packed_panels<std::uint16_t>(context, p, depth, width, packed_as_half_matrix);
  ProductTasks const tasks(context, p.c.rows, kernels.rows, panels);
  std::size_t const stride = depth + 32;
  auto const scratch = context.template tensor<std::uint16_t>(tasks.threads, tasks.chunk * stride);
  for_each_task(context, "kovos::gemm", tasks.threads, tasks.row_tasks * tasks.column_tasks,
                [&](std::size_t task, std::size_t worker) {
                  std::size_t const row = task / tasks.column_tasks * tasks.chunk;
                  std::size_t const panel = task % tasks.column_tasks * tasks.panels_per_task;
                  if (panel >= panels) return;
                  HostHalfGemmBlock g;
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
void gemm_host(Context<Exec> const& context, Product<A, B, float> const& p, HostKernels const& kernels) {
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

#endif  // KOVOS_HOST_ENGINE

}  // namespace detail

/// C = activation(alpha A B + addend) + residual.
/// a: [M, K], b: [K, N] (pass weights [N, K] as `weight.transposed()`), c: [M, N]; any strides. Elements may be float,
/// bf16 or double (double: portable engine only); sums are formed in float (double for double).
/// beta C of the BLAS is a residual that is C itself. Asynchronous on the context's instance.
/// Throws ShapeError if the extents do not fit together.
template <class Exec, class A, class B, class C>
void gemm(Context<Exec> const& context, Matrix<A> const& a, Matrix<B> const& b, Matrix<C> const& c,
          Epilogue const& epilogue = {}, float alpha = 1) {
  using TA = std::remove_const_t<A>;
  using TB = std::remove_const_t<B>;
  static_assert(!std::is_const_v<C>, "kovos::gemm: the result matrix must be writable");
  require_extent("gemm", "b.rows", b.rows, a.columns);
  require_extent("gemm", "c.rows", c.rows, a.rows);
  require_extent("gemm", "c.columns", c.columns, b.columns);
  if (epilogue.addend.data) {
    require_extent("gemm", "addend.columns", epilogue.addend.columns, c.columns);
    require<ShapeError>(epilogue.addend.rows > 0 && epilogue.row_divisor > 0,
                        "[gemm] addend.rows and row_divisor must be positive");
  }
  if (epilogue.residual.data) {
    require_extent("gemm", "residual.rows", epilogue.residual.rows, c.rows);
    require_extent("gemm", "residual.columns", epilogue.residual.columns, c.columns);
  }
  if (c.rows == 0 || c.columns == 0) return;

  detail::Product<TA, TB, C> const product{{a.data, a.rows, a.columns, a.row_stride, a.column_stride},
                                           {b.data, b.rows, b.columns, b.row_stride, b.column_stride},
                                           c,
                                           alpha,
                                           epilogue};
  [[maybe_unused]] constexpr bool half_or_float = is_model_scalar<TA> && is_model_scalar<TB>;
  [[maybe_unused]] bool const unit_columns = c.column_stride == 1 &&
                                             (!epilogue.addend.data || epilogue.addend.column_stride == 1) &&
                                             (!epilogue.residual.data || epilogue.residual.column_stride == 1);
#ifdef KOVOS_HOST_ENGINE
  if constexpr (half_or_float && std::is_same_v<C, float> && is_host_execution<Exec>)
    if (unit_columns && a.columns > 0 && detail::uses_host_engine(context)) {
      if (auto const* const half = detail::half_kernels(context)) detail::gemm_half(context, product, *half);
      else detail::gemm_host(context, product, detail::best_host_kernels());
      return;
    }
#endif
#ifdef KOVOS_ENABLE_EIGEN
  if constexpr (half_or_float && std::is_same_v<C, float> && is_host_execution<Exec>)
    if (unit_columns && a.columns > 0 && context.engine() == Engine::eigen) {
      detail::gemm_eigen(context, product);
      return;
    }
#else
  require<ConfigError>(context.engine() != Engine::eigen,
                       "[gemm] Engine::eigen needs the component kovos::eigen; link it or use another engine");
#endif
#ifdef KOVOS_ENABLE_ONEDNN
  if constexpr (half_or_float && std::is_same_v<C, float> && is_host_execution<Exec>)
    if (unit_columns && a.columns > 0 && context.engine() == Engine::onednn) {
      detail::gemm_onednn(context, product);
      return;
    }
#else
  require<ConfigError>(context.engine() != Engine::onednn,
                       "[gemm] Engine::onednn needs the component kovos::onednn; link it or use another engine");
#endif
  detail::gemm_portable(context, product);
}

/// y = activation(x weight^T + bias) + residual over the last axis.
/// x: [..., In], weight: [Out, In], bias: [Out] or empty, residual: [..., Out] or empty -> [..., Out].
/// Throws ShapeError if the extents do not fit together.
template <execution_context C, class T, class Shape, class W, class B>
auto linear(C const& context, Tensor<T, Shape, typename C::memory_space> const& x, W const& weight, B const& bias,
            Activation activation = Activation::none, Matrix<float const> residual = {}) {
  static_assert(W::rank() == 2, "kovos::linear: weight must be a matrix [Out, In]");
  static_assert(B::rank() == 1, "kovos::linear: bias must be a vector [Out]");
  constexpr std::size_t rank = Shape::rank();
  require_extent("linear", "the last extent of x", x.extent(rank - 1), weight.extent(1));
  auto y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return context.template tensor<float>(x.extent(I)..., weight.extent(0));
  }
  (std::make_index_sequence<rank - 1>{});
  Epilogue epilogue;
  epilogue.activation = activation;
  epilogue.residual = residual;
  DynamicTensor<float, 1, typename C::memory_space> wide;
  if (bias.data() != nullptr) {
    require_extent("linear", "bias", bias.extent(0), weight.extent(0));
    if constexpr (std::is_same_v<typename B::value_type, float>) {
      epilogue.addend = {bias.data(), 1, bias.extent(0), bias.extent(0), 1};
    } else {
      wide = copy_of(context, bias);
      epilogue.addend = {wide.data(), 1, bias.extent(0), bias.extent(0), 1};
    }
  }
  gemm(context, as_matrix(x), as_matrix(weight).transposed(), as_matrix(y), epilogue);
  return y;
}

}  // namespace kovos
