// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/problem/activation.hpp"

namespace kovos {

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
      detail::solve(tape.context(), problem::ActivateInto{z.data(), c, epilogue.activation, epilogue.residual});
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
                  detail::solve(context, problem::ActivationGradient{z.data(), dc, slope.data(), c.rows, c.columns,
                                                                     c.row_stride, epilogue.activation});
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
