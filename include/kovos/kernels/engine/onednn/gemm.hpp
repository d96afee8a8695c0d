// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <dnnl.hpp>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/engine/library.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace kovos {

namespace detail {

template <class T>
dnnl::memory::desc onednn_description(std::size_t rows, std::size_t columns, std::size_t row_stride,
                                      std::size_t column_stride) {
  auto const dim = [](std::size_t n) { return static_cast<dnnl::memory::dim>(n); };
  return {{dim(rows), dim(columns)},
          std::is_same_v<T, bf16> ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32,
          {dim(row_stride), dim(column_stride)}};
}

inline dnnl::matmul::primitive_desc onednn_product(dnnl::engine const& engine, dnnl::memory::desc const& a,
                                                   dnnl::memory::desc const& b, dnnl::memory::desc const& c,
                                                   bool may_be_empty = false) {
#if DNNL_VERSION_MAJOR < 3
  return {dnnl::matmul::desc(a, b, c), engine, may_be_empty};
#else
  return {engine, a, b, c, dnnl::primitive_attr(), may_be_empty};
#endif
}

/// Whether oneDNN multiplies bf16 on this machine.
inline bool onednn_has_bf16() {
  static bool const there = [] {
    auto const half = onednn_description<bf16>(32, 32, 32, 1);
    return bool(onednn_product(dnnl::engine(dnnl::engine::kind::cpu, 0), half, half,
                               onednn_description<float>(32, 32, 32, 1), true));
  }();
  return there;
}

/// An operand in elements of T and with strides that oneDNN has fast products for: where it is, or else a dense copy
/// in the order in which it lies.
template <class T, class Exec>
struct OnednnOperand {
  DynamicTensor<T, 2, typename Exec::memory_space> copy;
  dnnl::memory memory;

  template <class M>
  OnednnOperand(Context<Exec> const& context, dnnl::engine const& engine, M const& m) {
    using Element = std::remove_const_t<std::remove_pointer_t<decltype(m.data)>>;
    bool const by_columns = m.row_stride == 1 && m.column_stride >= m.rows;
    if constexpr (std::is_same_v<Element, T>)
      if (by_columns || (m.column_stride == 1 && m.row_stride >= m.columns)) {
        memory = dnnl::memory(onednn_description<T>(m.rows, m.columns, m.row_stride, m.column_stride), engine,
                              const_cast<T*>(m.data));
        return;
      }
    M const lines = by_columns ? m.transposed() : m;
    copy = context.template tensor<T>(lines.rows, lines.columns);
    std::size_t const tasks = (lines.rows + rows_per_task - 1) / rows_per_task;
    for_each_task(
        context, "kovos::gemm onednn copy", workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
          std::size_t const first = task * rows_per_task;
          copy_rows(lines, first, std::min(rows_per_task, lines.rows - first), copy.data() + first * lines.columns);
        });
    memory = dnnl::memory(onednn_description<T>(m.rows, m.columns, by_columns ? 1 : m.columns, by_columns ? m.rows : 1),
                          engine, copy.data());
  }
};

/// sums = A B with operands of T.
template <class T, class Exec, class Product>
void multiply_onednn(Context<Exec> const& context, Product const& p, float* sums, std::size_t stride) {
  dnnl::engine const engine(dnnl::engine::kind::cpu, 0);
  OnednnOperand<T, Exec> const a(context, engine, p.a), b(context, engine, p.b);
  dnnl::memory const c(onednn_description<float>(p.c.rows, p.c.columns, stride, 1), engine, sums);
  dnnl::matmul const product(onednn_product(engine, a.memory.get_desc(), b.memory.get_desc(), c.get_desc()));
  dnnl::stream stream(engine);
  product.execute(stream, {{DNNL_ARG_SRC, a.memory}, {DNNL_ARG_WEIGHTS, b.memory}, {DNNL_ARG_DST, c}});
  stream.wait();
}

/// Matrix products by oneDNN, for comparison: it converts and packs its operands in each call. It brings its own
/// threads, whatever the execution space has; built with OpenMP it uses one where it is called inside a parallel loop.
template <class Exec, class Product>
void gemm_onednn(Context<Exec> const& context, Product const& p) {
  auto const& e = p.epilogue;
  // A residual may be c itself, so that c must wait; a single row of c may have any stride.
  bool const in_place = !e.residual.data && p.c.row_stride >= p.c.columns;
  auto const scratch = context.template tensor<float>(in_place ? 0 : p.c.rows, p.c.columns);
  float* const sums = in_place ? p.c.data : scratch.data();
  std::size_t const stride = in_place ? p.c.row_stride : p.c.columns;
  context.fence();  // oneDNN does not know what the execution space has still to do
  if (context.precision() == MatmulPrecision::bf16 && onednn_has_bf16())
    multiply_onednn<bf16>(context, p, sums, stride);
  else multiply_onednn<float>(context, p, sums, stride);
  if (in_place && p.alpha == 1 && !e.addend.data && e.activation == Activation::none) return;
  std::size_t const tasks = (p.c.rows + rows_per_task - 1) / rows_per_task;
  for_each_task(context, "kovos::gemm onednn", workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
    std::size_t const end = std::min(p.c.rows, (task + 1) * rows_per_task);
    for (std::size_t i = task * rows_per_task; i < end; ++i) store_row(p, i, sums + i * stride);
  });
}

}  // namespace detail

namespace engine {

/// Matrix products by oneDNN, the rest portable.
struct Onednn {
  template <class Exec>
  static bool serves(Context<Exec> const& context) {
    return context.engine() == Engine::onednn;
  }
};

template <class Exec, class A, class B>
requires(is_host_execution<Exec>&& is_model_scalar<A>&& is_model_scalar<B>) bool run(
    Onednn, Context<Exec> const& context, problem::Product<A, B, float> const& p) {
  if (p.a.columns == 0 || !has_unit_columns(p)) return false;
  detail::gemm_onednn(context, p);
  return true;
}

}  // namespace engine

}  // namespace kovos
