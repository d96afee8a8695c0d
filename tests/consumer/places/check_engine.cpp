// SPDX-License-Identifier: Apache-2.0
// Products go to the engine of engine.hpp, all else to those of Kovos.

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>

#include "check.hpp"
#include "engine.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/transposed_convolution.hpp"

namespace {

using places::check;
using Context = kovos::Context<Kokkos::DefaultHostExecutionSpace>;

template <class... E>
auto numbers(Context const& context, float start, E... extents) {
  auto const x = context.tensor<float>(std::size_t(extents)...);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = std::sin(start + 1.7f * static_cast<float>(i));
  return x;
}

/// f(context) of the program's own engine and of Kovos' portable one; how many products were asked of the former.
template <class F>
void check_goes(char const* what, std::size_t products, F const& f) {
  Context const context;
  Context const portable(Kokkos::DefaultHostExecutionSpace(), kovos::Engine::portable);
  places::Engine::calls = 0;
  auto const y = f(context);
  context.fence();
  check(places::Engine::calls == products, std::string(what) + " asked for " + std::to_string(places::Engine::calls) +
                                               " products of the engine, expected " + std::to_string(products));
  auto const expected = f(portable);
  portable.fence();
  check(places::Engine::calls == products, std::string(what) + " asked the engine in a context for another one");
  for (std::size_t i = 0; i < y.size(); ++i)
    check(std::abs(y.data()[i] - expected.data()[i]) < 1e-4f, std::string(what) + " is wrong");
}

}  // namespace

int main() try {
  Kokkos::ScopeGuard const kokkos;
  check_goes("gemm", 1, [](Context const& context) {
    auto const a = numbers(context, 1, 5, 7);
    auto const b = numbers(context, 2, 9, 7);
    auto const bias = numbers(context, 3, 9);
    return kovos::linear(context, a, b, bias, kovos::Activation::gelu);
  });
  check_goes("conv_transpose2d", 1, [](Context const& context) {  // which is made of a product
    auto const x = numbers(context, 1, 2, 3, 4, 5);
    auto const w = numbers(context, 2, 5, 6, 2, 2);
    auto const b = numbers(context, 3, 6);
    return kovos::conv_transpose2d(context, x, w, b);
  });
  check_goes("layer_norm", 0, [](Context const& context) {
    auto const x = numbers(context, 1, 5, 7);
    auto const w = numbers(context, 2, 7);
    auto const b = numbers(context, 3, 7);
    return kovos::layer_norm(context, x, w, b);
  });
  check_goes("conv2d", 0, [](Context const& context) {
    auto const x = numbers(context, 1, 2, 6, 7, 3);
    auto const w = numbers(context, 2, 4, 3, 3, 3);
    auto const b = numbers(context, 3, 4);
    return kovos::conv2d(context, x, w, b, 1, 1);
  });
  places::Engine::is_on = false;
  check_goes("gemm without the engine", 0, [](Context const& context) {
    auto const a = numbers(context, 1, 5, 7);
    auto const b = numbers(context, 2, 9, 7);
    auto const bias = numbers(context, 3, 9);
    return kovos::linear(context, a, b, bias);
  });
  std::printf("the engine has its place\n");
  return 0;
} catch (std::exception const& error) {
  std::fprintf(stderr, "places: %s\n", error.what());
  return 1;
}
