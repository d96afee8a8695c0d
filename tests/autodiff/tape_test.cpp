// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/tape.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "autodiff/references.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Memory = Context<>::memory_space;
using Line = DynamicTensor<float, 1, Memory>;
using Pair = DynamicTensor<float, 2, Memory>;

/// A product with itself: its gradient needs the values of x again. x: [n, n].
template <class Exec, Recompute Policy>
DynamicTensor<float, 2, typename Exec::memory_space> square(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 2, typename Exec::memory_space> const& x) {
  auto const y = tape.template tensor<float>(x.extent(0), x.extent(0));
  gemm(tape, as_matrix(x), as_matrix(x), as_matrix(y));
  return y;
}

/// The sum of all elements.
template <class Exec, Recompute Policy, class X>
auto sum_of(Tape<Exec, Policy> const& tape, X const& x) {
  auto const ones = copy_of(tape, on(tape.context(), Values(x.size(), 1)));  // lives as long as a step needs it
  auto const y = tape.template tensor<float>(1);
  gemm(tape, Matrix<float>{ones.data(), 1, x.size(), x.size(), 1}, Matrix<float>{x.data(), x.size(), 1, 1, 1},
       Matrix<float>{y.data(), 1, 1, 1, 1});
  return y;
}

/// Layers as a transformer has them, with weights of their own: x + MLP(norm(x)). x: [rows, width].
struct Block {
  std::size_t width;
  Line scale, shift, up, down;

  Block(Context<> const& context, std::uint64_t seed, std::size_t c)
      : width(c),
        scale(random_tensor(context, seed, 1, c)),
        shift(random_tensor(context, seed + 1, 1, c)),
        up(random_tensor(context, seed + 2, 0.5, 4 * c * c)),
        down(random_tensor(context, seed + 3, 0.5, 4 * c * c)) {}

  std::vector<Line> parameters() const { return {scale, shift, up, down}; }

  template <class C>
  Pair operator()(C const& context, Pair const& x) const {
    auto const y = layer_norm(context, x, scale, shift);
    auto const z = linear(context, y, up.reshape(dynamic_extents<2>(4 * width, width)), Line{}, Activation::gelu);
    return linear(context, z, down.reshape(dynamic_extents<2>(width, 4 * width)), Line{}, Activation::none,
                  as_matrix(x));
  }
};

struct Trained {
  std::vector<Values> gradients;  // of the picture, then of every block's parameters
  std::size_t steps = 0;
  std::size_t peak_bytes = 0;
};

constexpr std::size_t depth = 24;

/// `depth` blocks, one after the other or in pairs within blocks of their own.
template <Recompute Policy>
Trained train(Engine engine, bool nested) {
  std::size_t const rows = 203, width = 19;
  Context<> const context({}, engine);
  Tape<Context<>::execution_space, Policy> const tape(context);
  Context<> const beside;  // what the peak does not count
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < depth; ++i) blocks.emplace_back(beside, 10 * i, width);
  auto const picture = random_tensor(beside, 99, 1, rows, width);
  std::vector<Line> gradients;
  auto const watch = [&](auto const& x) {
    gradients.push_back(on(beside, Values(x.size())));
    tape.watch(x, gradients.back());
  };
  watch(picture);
  for (auto const& block : blocks)
    for (auto const& parameter : block.parameters()) watch(parameter);
  Trained result;
  {
    auto x = picture;
    for (std::size_t i = 0; i < depth; i += nested ? 2 : 1) {
      auto const f = [first = blocks[i], second = blocks[i + (nested ? 1 : 0)], nested](auto const& c, Pair const& y) {
        if (!nested) return first(c, y);
        return block_of_layers(c, second, block_of_layers(c, first, y));
      };
      x = block_of_layers(tape, f, x);
    }
    result.steps = tape.size();
    tape.backward(sum_of(tape, x));
  }
  context.fence();
  for (auto const& gradient : gradients) result.gradients.push_back(values(gradient));
  result.peak_bytes = context.workspace().peak_bytes();
  return result;
}

}  // namespace

TEST_CASE("Tape: slices and reshapes share the gradient of the memory they lie in") {
  std::size_t const rows = 4, c = 7;
  check_rule(
      {numbers(1, 1, rows * c)},
      [&](auto const& tape, auto const& x) {
        auto const table = x[0].reshape(dynamic_extents<2>(rows, c));
        auto const y = copy_of(tape, x[0].reshape(dynamic_extents<4>(2, 1, 2, c)));
        auto const flat = y.reshape(dynamic_extents<2>(rows, c));
        add_in_place(tape, flat.slice(0, 2), table.slice(1, 2));
        add_in_place(tape, y.slice(1, 1), y.slice(0, 1));
        add_in_place(tape, flat.slice(3, 1), table.slice(3, 1).reshape(dynamic_extents<1>(c)));
        return y;
      },
      [&](std::vector<Values> const& x) {
        auto y = x[0];
        for (std::size_t i = 0; i < 2 * c; ++i) y[i] += x[0][c + i];
        for (std::size_t i = 0; i < 2 * c; ++i) y[2 * c + i] += y[i];
        for (std::size_t i = 0; i < c; ++i) y[3 * c + i] += x[0][3 * c + i];
        return y;
      });
}

TEST_CASE("Tape: what is used twice receives both gradients, what is not used none") {
  check_rule(
      {numbers(1, 1, 9), numbers(2, 1, 9)},
      [](auto const& tape, auto const& x) {
        auto const a = x[0].reshape(dynamic_extents<2>(3, 3));
        auto const b = square(tape, a);
        square(tape, x[1].reshape(dynamic_extents<2>(3, 3)));  // leads nowhere
        auto const y = square(tape, b);
        add_in_place(tape, y, b);
        add_in_place(tape, y, a);
        return y;
      },
      [](std::vector<Values> const& x) {
        auto const squared = [](Values const& a) {
          Values y(9);
          for (std::size_t i = 0; i < 27; ++i)
            y[i / 9 * 3 + i % 3] += a[i / 9 * 3 + i / 3 % 3] * a[i / 3 % 3 * 3 + i % 3];
          return y;
        };
        auto const b = squared(x[0]);
        auto y = squared(b);
        for (std::size_t i = 0; i < 9; ++i) y[i] += b[i] + x[0][i];
        return y;
      });
}

TEST_CASE("Tape::watch: the gradient lies where the caller wants it and ends with the tensor") {
  Context<> const context;
  Tape const tape(context);
  auto const block = on(context, Values(12)), gradient = on(context, Values(4));
  auto const x = block.slice(3, 4);
  tape.watch(x, gradient);
  for (std::size_t i = 0; i < 4; ++i) CHECK(tape.gradient_of(x.data() + i).values() == gradient.data() + i);
  CHECK(!tape.gradient_of(x.data() - 1));
  CHECK(!tape.gradient_of(x.data() + 4));
  CHECK(!tape.gradient_of(nullptr));
  CHECK(message_of<ShapeError>([&] { tape.watch(x, on(context, Values(5))); }) ==
        "[Tape::watch] a tensor of 4 elements cannot have a gradient of 5");
  tape.watch(Line{}, Line{});  // an empty tensor has nothing to watch
}

TEST_CASE("Tape::backward: adds to the gradient each time, and the tape is empty afterwards") {
  for_each_context([](auto const& context) {
    Tape const tape(context);
    auto const x = on(context, numbers(1, 1, 5)), gradient = on(context, Values(5, 0.5));
    tape.watch(x, gradient);
    for (float const seed : {1.0f, 2.0f}) {
      auto const loss = sum_of(tape, copy_of(tape, x));
      CHECK(tape.size() == 2);
      tape.backward(loss, seed);
      CHECK(tape.size() == 0);
    }
    context.fence();
    CHECK(values(gradient) == Values(5, 3.5));
  });
}

TEST_CASE("Tape::clear: forgets the steps without running them") {
  Context<> const context;
  Tape const tape(context);
  auto const x = on(context, numbers(1, 1, 5)), gradient = on(context, Values(5));
  tape.watch(x, gradient);
  auto const loss = sum_of(tape, x);
  CHECK(tape.size() == 1);
  tape.clear();
  CHECK(tape.size() == 0);
  tape.backward(loss);
  CHECK(values(gradient) == Values(5));
}

TEST_CASE("Tape::backward: a loss that is no number, or that nothing trainable leads to") {
  Context<> const context;
  Tape const tape(context);
  auto const x = on(context, numbers(1, 1, 9)), other = on(context, Values(1));
  tape.watch(x, on(context, Values(9)));
  auto const y = square(tape, x.reshape(dynamic_extents<2>(3, 3)));
  CHECK(message_of<ShapeError>([&] { tape.backward(y); }) == "[Tape::backward] the loss is 9, expected 1");
  char const* const nothing = "[Tape::backward] the loss depends on nothing that is watched";
  CHECK(message_of<ConfigError>([&] { tape.backward(other); }) == nothing);
  CHECK(message_of<ConfigError>([&] { tape.backward(tape.tensor<float>(1)); }) == nothing);
  CHECK(message_of<ConfigError>([&] { tape.backward(sum_of(tape, on(context, Values(3)))); }) == nothing);
  CHECK(tape.size() == 1);
}

TEST_CASE("Tape: what depends on nothing watched is not recorded") {
  for_each_context([](auto const& context) {
    Tape const tape(context);
    auto const x = random_tensor(context, 1, 1, 3, 3), other = random_tensor(context, 2, 1, 3, 3);
    auto const gradient = on(context, Values(9));
    tape.watch(x, gradient);
    auto const y = square(tape, copy_of(tape, other));
    CHECK(tape.size() == 0);
    CHECK(!tape.gradient_of(y.data()));
    auto const z = square(tape, x);
    CHECK(tape.size() == 1);
    add_in_place(tape, z, y);  // z's gradient stays as it is
    CHECK(tape.size() == 1);
    tape.backward(sum_of(tape, z));
    context.fence();
    // d sum(x x) / dx[i, k] = sum of row k + sum of column i.
    Values const v = values(x);
    Values expected(9);
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t k = 0; k < 3; ++k)
        for (std::size_t j = 0; j < 3; ++j) expected[i * 3 + k] += v[k * 3 + j] + v[j * 3 + i];
    CHECK(close_gradients(values(gradient), expected, 1e-6));
  });
}

TEST_CASE("Tape::adopt: memory that is handed out again starts without a gradient") {
  Context<> const context;
  Tape const tape(context);
  auto const x = on(context, numbers(1, 1, 300)), gradient = on(context, Values(300));
  tape.watch(x, gradient);
  float const* place = nullptr;
  {
    auto const y = copy_of(tape, x);
    place = y.data();
    CHECK(bool(tape.gradient_of(place)));
    CHECK(bool(tape.gradient_of(place + 299)));
    CHECK(!tape.gradient_of(place + 300));
    CHECK(tape.adopt(y).owner() == y.owner());
  }
  CHECK(!tape.gradient_of(place));
  auto const again = tape.tensor<float>(300);
  REQUIRE(again.data() == place);
  CHECK(!tape.gradient_of(place));
  // The forgotten tensor's step is still there and leads nowhere.
  CHECK(tape.size() == 1);
  tape.backward(sum_of(tape, x));
  CHECK(values(gradient) == Values(300, 1));
}

TEST_CASE("Tape: an intermediate that a rule needs lives until its step has run") {
  Context<> const context;
  Tape const tape(context);
  auto const x = random_tensor(context, 1, 1, 3, 3);
  tape.watch(x, on(context, Values(9)));
  std::weak_ptr<void const> middle, last;
  auto const loss = [&] {
    auto const y = square(tape, x), z = square(tape, y);
    middle = y.owner();
    last = z.owner();
    return sum_of(tape, z);
  }();
  CHECK(!middle.expired());
  CHECK(last.expired());  // a sum's gradient does not need what is summed
  tape.backward(loss);
  CHECK(middle.expired());
}

TEST_CASE("Tape::overwritten: a step that needs the old values cannot be differentiated") {
  char const* const sentence = "[Tape::backward] a tensor was overwritten after a step that needs it for its gradient";
  Context<> const context;
  auto const attempt = [&](auto const& overwrite) {
    return message_of<GradientError>([&] {
      Tape const tape(context);
      auto const x = random_tensor(context, 1, 1, 3, 3);
      tape.watch(x, on(context, Values(9)));
      auto const y = copy_of(tape, x);
      auto const z = square(tape, y);
      overwrite(tape, x, y);
      tape.backward(sum_of(tape, z));
    });
  };
  auto const other = random_tensor(context, 2, 1, 3, 3);
  CHECK(attempt([&](auto const& tape, auto const&, auto const& y) { assign(tape, y, other); }) == sentence);
  CHECK(attempt([&](auto const& tape, auto const&, auto const& y) { add_in_place(tape, y, other); }) == sentence);
  CHECK(attempt([&](auto const& tape, auto const&, auto const& y) {
          assign(tape, y.slice(2, 1), other.slice(0, 1));
        }) == sentence);
  CHECK(attempt([&](auto const& tape, auto const&, auto const& y) {
          gemm(tape, as_matrix(other), as_matrix(other), as_matrix(y));
        }) == sentence);
  // copy_of does not need x again, so x may change.
  CHECK(attempt([&](auto const& tape, auto const& x, auto const&) { assign(tape, x, other); }) == "nothing was thrown");
}

TEST_CASE("Tape::overwritten: a parameter must not change between the passes") {
  Context<> const context;
  Tape const tape(context);
  auto const x = random_tensor(context, 1, 1, 3, 3);
  tape.watch(x, on(context, Values(9)));
  auto const loss = sum_of(tape, square(tape, x));
  tape.overwritten(x.data());
  CHECK(message_of<GradientError>([&] { tape.backward(loss); }) ==
        "[Tape::backward] a tensor was overwritten after a step that needs it for its gradient");
}

TEST_CASE("Tape: results of recorded steps lie in memory of the tape") {
  Context<> const context;
  Tape const tape(context);
  auto const x = random_tensor(context, 1, 1, 3, 3), y = random_tensor(context, 2, 1, 3, 3);
  tape.watch(x, on(context, Values(9)));
  CHECK(message_of<GradientError>([&] { gemm(tape, as_matrix(x), as_matrix(x), as_matrix(y)); }) ==
        "[Tape] a gradient rule wrote into memory that the tape does not know");
}

TEST_CASE("Recompute::blocks: the same bits from less memory") {
  for (Engine const engine : engines<Context<>::execution_space>())
    for (bool const nested : {false, true}) {
      CAPTURE(name_of(engine));
      CAPTURE(nested);
      auto const kept = train<Recompute::nothing>(engine, nested), again = train<Recompute::blocks>(engine, nested);
      CHECK(kept.steps == depth * 3);
      CHECK(again.steps == (nested ? depth / 2 : depth));
      REQUIRE(again.gradients.size() == 1 + depth * 4);
      for (auto const& gradient : kept.gradients) CHECK(largest(gradient) > 0);
      CHECK(again.gradients == kept.gradients);
      CAPTURE(kept.peak_bytes);
      CAPTURE(again.peak_bytes);
      // What the blocks keep outweighs what the engines pack operands in.
      CHECK(2 * again.peak_bytes < kept.peak_bytes);
    }
}

TEST_CASE("Recompute::blocks: a block that throws leaves the tape as it was") {
  Context<> const context;
  Tape<Context<>::execution_space, Recompute::blocks> const tape(context);
  auto const x = random_tensor(context, 1, 1, 3, 3);
  auto const gradient = on(context, Values(9));
  tape.watch(x, gradient);
  CHECK_THROWS_WITH_AS(block_of_layers(
                           tape,
                           [](auto const& c, Pair const& y) {
                             auto const z = square(c, y);
                             if (y.size() > 0) throw std::runtime_error("no");
                             return z;
                           },
                           x),
                       "no", std::runtime_error);
  CHECK(tape.size() == 0);
  auto const y = square(tape, x);
  CHECK(tape.size() == 1);
  tape.backward(sum_of(tape, y));
  CHECK(largest(values(gradient)) > 0);
}

TEST_CASE("Recompute::blocks: a block that nothing trainable flows through is not run again") {
  Context<> const context;
  Tape<Context<>::execution_space, Recompute::blocks> const tape(context);
  auto const x = random_tensor(context, 1, 1, 3, 3), other = random_tensor(context, 2, 1, 3, 3);
  tape.watch(x, on(context, Values(9)));
  auto runs = std::make_shared<int>(0);
  auto const f = [runs](auto const& c, Pair const& y) {
    ++*runs;
    return square(c, y);
  };
  block_of_layers(tape, f, other);
  CHECK(tape.size() == 0);
  auto const y = block_of_layers(tape, f, x);
  CHECK(tape.size() == 1);
  CHECK(*runs == 2);
  tape.backward(sum_of(tape, y));
  CHECK(*runs == 3);
}
