// SPDX-License-Identifier: Apache-2.0
#include "kovos/nn/parameter.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using namespace kovos;
using Memory = Kokkos::HostSpace;

struct Inner {
  Parameter<bf16, Memory, 3, 5> weight;
  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::hidden_weight);
  }
};

struct Module {
  std::array<Inner, 2> list;
  Parameter<float, Memory, 4> bias;
  Parameter<float, Memory> scale;
  template <class F>
  void visit(F& f, std::string const& prefix) const {
    visit_list(list, f, prefix + "list.");
    f(prefix + "bias", bias, ParameterRole::norm_bias);
    f(prefix + "scale", scale, ParameterRole::logit_scale);
  }
};

std::vector<std::size_t> shape_of(ConstParameterReference const& parameter) {
  return {parameter.shape().begin(), parameter.shape().end()};
}

template <class T>
DynamicTensor<T, 1, Memory> numbers(std::size_t count) {
  DynamicTensor<T, 1, Memory> const values(dynamic_extents<1>{count});
  for (std::size_t i = 0; i < count; ++i) values.data()[i] = T(static_cast<float>(i));
  return values;
}

std::string message(auto const& f) {
  try {
    f();
  } catch (ShapeError const& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("parameters_of: what for_each_parameter tells, without extents in a type") {
  Module const module;
  auto const list = parameters_of(module);
  static_assert(std::is_same_v<decltype(list)::value_type, ConstParameterReference>);
  REQUIRE(list.size() == 4);
  std::size_t i = 0;
  for_each_parameter(
      module, [&]<class T, std::size_t... E>(std::string const& name, Parameter<T, Memory, E...> const& parameter,
                                             ParameterRole role) {
        CHECK(list[i].name() == name);
        CHECK(list[i].role() == role);
        CHECK(list[i].dtype() == (std::is_same_v<T, float> ? DType::f32 : DType::bf16));
        CHECK(shape_of(list[i]) == std::vector<std::size_t>{E...});
        CHECK(list[i].size() == parameter.size());
        CHECK(list[i].size_in_bytes() == parameter.size() * sizeof(T));
        CHECK(list[i].empty());
        ++i;
      });
  CHECK(list[1].name() == "list.1.weight");
  CHECK(count_parameters(module) == 15 + 15 + 4 + 1);
}

TEST_CASE("parameters_of: values that are given are the module's, shared and not copied") {
  Module module;
  auto const list = parameters_of(module);
  auto const half = numbers<bf16>(15);
  auto const whole = numbers<float>(4);
  list[1].give(half);
  list[2].train_in(whole);
  CHECK(module.list[0].weight.empty());
  CHECK(module.list[1].weight.data() == half.data());
  CHECK(static_cast<float>(module.list[1].weight(2, 4)) == 14);
  CHECK_FALSE(module.list[1].weight.is_trained());
  CHECK(module.bias.data() == whole.data());
  CHECK(module.bias.is_trained());
  CHECK(list[2].is_trained());
  CHECK(list[2].owner() == whole.owner());
  CHECK(list[2].flat<float, Memory>()(3) == 3);
  list[2].give(whole);
  CHECK_FALSE(module.bias.is_trained());
}

TEST_CASE("parameters_of: a parameter takes neither another number of elements nor another type") {
  Module module;
  auto const list = parameters_of(module);
  CHECK(message([&] { list[2].give(numbers<float>(5)); }) == "[Parameter] bias takes 4 elements of F32, got 5 of F32");
  CHECK(message([&] { list[1].train_in(numbers<float>(15)); }) ==
        "[Parameter] list.1.weight takes 15 elements of BF16, got 15 of F32");
  CHECK(module.bias.empty());
}
