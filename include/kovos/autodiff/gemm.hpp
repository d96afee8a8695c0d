// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/gemm.hpp"

namespace kovos {

namespace detail {

/// d activation(z) / dz.
template <class T>
KOKKOS_INLINE_FUNCTION T activation_slope(T z, Activation activation) {
  switch (activation) {
    case Activation::none:
      return T(1);
    case Activation::relu:
      return z > T(0) ? T(1) : T(0);
    case Activation::gelu:
      return T(0.5) * (T(1) + Kokkos::erf(z * T(0.70710678118654752440))) +
             z * T(0.39894228040143267794) * Kokkos::exp(T(-0.5) * z * z);
    case Activation::quick_gelu: {
      T const s = T(1) / (T(1) + Kokkos::exp(T(-1.702) * z));
      return s * (T(1) + T(1.702) * z * (T(1) - s));
    }
    case Activation::sigmoid: {
      T const s = T(1) / (T(1) + Kokkos::exp(-z));
      return s * (T(1) - s);
    }
  }
  return T(1);
}

/// dz = dy activation'(z). z, dz: contiguous [M, N], dy: rows of dy_stride floats.
template <class Exec>
void activation_gradient(Context<Exec> const& context, float const* z, float const* dy, std::size_t rows,
                         std::size_t columns, std::size_t dy_stride, Activation activation, float* dz) {
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      std::size_t const chunk = std::max<std::size_t>(1, 16384 / columns), tasks = (rows + chunk - 1) / chunk;
      for_each_task(
          context, "kovos::activation_gradient", workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
            for (std::size_t i = task * chunk; i < std::min(rows, (task + 1) * chunk); ++i)
              kernels.activation_gradient(z + i * columns, dy + i * dy_stride, dz + i * columns, columns, activation);
          });
      return;
    }
#endif
  for_each_index(
      context, "kovos::activation_gradient", rows * columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / columns, j = index % columns;
        dz[index] = dy[i * dy_stride + j] * activation_slope(z[index], activation);
      });
}

/// c = activation(z) + residual. z: contiguous [M, N]; the residual may be c itself.
template <class Exec>
void activate_into(Context<Exec> const& context, float const* z, Matrix<float> const& c, Activation activation,
                   Matrix<float const> const& residual) {
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context) && residual.data != c.data) {  // rows are activated where they end up
      auto const& kernels = best_host_kernels();
      std::size_t const chunk = std::max<std::size_t>(1, 16384 / c.columns), tasks = (c.rows + chunk - 1) / chunk;
      for_each_task(context, "kovos::activate_into", workers(context, tasks), tasks,
                    [&](std::size_t task, std::size_t) {
                      for (std::size_t i = task * chunk; i < std::min(c.rows, (task + 1) * chunk); ++i) {
                        float* const row = c.data + i * c.row_stride;
                        std::copy_n(z + i * c.columns, c.columns, row);
                        kernels.activate(row, c.columns, activation);
                        if (residual.data)
                          for (std::size_t j = 0; j < c.columns; ++j)
                            row[j] += residual.data[i * residual.row_stride + j * residual.column_stride];
                      }
                    });
      return;
    }
#endif
  for_each_index(
      context, "kovos::activate_into", c.rows * c.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / c.columns, j = index % c.columns;
        float const r = residual.data ? residual.data[i * residual.row_stride + j * residual.column_stride] : 0.0f;
        c.data[i * c.row_stride + j * c.column_stride] = activated(z[index], activation) + r;
      });
}

}  // namespace detail

/// gemm with gradients: dA += alpha dZ B^T, dB += alpha A^T dZ, the addend receives the sums of the rows it was added
/// to, the residual dC itself; dZ = dC activation'(Z). c must be memory of the tape with unit column stride; what was
/// in it before has no gradient, unless it is the residual.
template <class Exec, Recompute Policy, class A, class B>
void gemm(Tape<Exec, Policy> const& tape, Matrix<A> const& a, Matrix<B> const& b, Matrix<float> const& c,
          Epilogue const& epilogue = {}, float alpha = 1) {
  require<GradientError>(c.column_stride == 1, "[gemm] the result of a recorded product needs unit column stride");
  auto const da = tape.gradient_of(a.data), db = tape.gradient_of(b.data);
  auto const daddend = tape.gradient_of(epilogue.addend.data), dresidual = tape.gradient_of(epilogue.residual.data);
  require<GradientError>(!daddend || epilogue.addend.column_stride == 1,
                         "[gemm] the addend of a recorded product needs unit column stride");
  bool const in_place = epilogue.residual.data == c.data;
  auto const before = in_place ? typename Tape<Exec, Policy>::gradient_type{} : tape.gradient_of(c.data);
  bool const activates = epilogue.activation != Activation::none;
  DynamicTensor<float, 2, typename Exec::memory_space> z;
  if (activates && (da || db || daddend)) {
    z = tape.context().template tensor<float>(c.rows, c.columns);
    Epilogue linear_part;
    linear_part.addend = epilogue.addend;
    linear_part.row_divisor = epilogue.row_divisor;
    gemm(tape.context(), a, b, as_matrix(z), linear_part, alpha);
    if (c.rows * c.columns > 0)
      detail::activate_into(tape.context(), z.data(), c, epilogue.activation, epilogue.residual);
  } else {
    gemm(tape.context(), a, b, c, epilogue, alpha);
  }
  tape.overwritten(c.data);
  tape.record(c.data, {da, db, daddend, dresidual, before}, {db ? a.data : nullptr, da ? b.data : nullptr},
              [=](auto const& t, float* dc) {
                auto const& context = t.context();
                Matrix<float> const result{dc, c.rows, c.columns, c.row_stride, 1};
                if (dresidual && !in_place)
                  detail::add_to(context, Matrix<float const>(result),
                                 Matrix<float>{dresidual.accumulate(context), c.rows, c.columns,
                                               epilogue.residual.row_stride, epilogue.residual.column_stride});
                Matrix<float> dz = result;
                DynamicTensor<float, 2, typename Exec::memory_space> slope;
                if (activates && (da || db || daddend)) {
                  slope = context.template tensor<float>(c.rows, c.columns);
                  detail::activation_gradient(context, z.data(), dc, c.rows, c.columns, c.row_stride,
                                              epilogue.activation, slope.data());
                  dz = as_matrix(slope);
                }
                auto const& addend = epilogue.addend;
                if (daddend)
                  detail::add_periodic_sums(context, dz.data, dz.rows, dz.columns, dz.row_stride, epilogue.row_divisor,
                                            addend.rows, daddend.accumulate(context), addend.row_stride);
                if (da)
                  detail::accumulate_product(
                      context, dz, b.transposed(),
                      Matrix<float>{da.accumulate(context), a.rows, a.columns, a.row_stride, a.column_stride}, alpha);
                if (db)
                  detail::accumulate_product(
                      context, a.transposed(), dz,
                      Matrix<float>{db.accumulate(context), b.rows, b.columns, b.row_stride, b.column_stride}, alpha);
                if (before) detail::clear(context, result);
              });
}

}  // namespace kovos
