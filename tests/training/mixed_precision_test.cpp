// SPDX-License-Identifier: Apache-2.0
// Training with bf16 matrices in the image encoder beside fp32: loss, gradients, twenty steps.

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "kovos/training/checkpoint.hpp"
#include "training/recorded_batch.hpp"

namespace {

using namespace kovos;
using kovos::test::RecordedRun;

using Exec = Kokkos::DefaultExecutionSpace;

/// The part of the network a parameter belongs to.
std::string part_of(std::string_view name) {
  for (std::string_view const part : {"clip_model.visual", "clip_model.transformer", "transformer.layers.0",
                                      "transformer.layers.1", "transformer.decoder1", "transformer.decoder2",
                                      "guidance_projection", "upsample", "transformer.conv1", "head."})
    if (name.find(part) != name.npos) return std::string(part);
  return "?";
}

/// The products of two gradients over one part.
struct Products {
  double aa = 0, ab = 0, bb = 0;
  double cosine() const { return ab / std::sqrt(aa * bb); }
  double relative_error() const { return std::sqrt((aa - 2 * ab + bb) / bb); }
};

/// The gradients of a bf16 run beside those of an fp32 run, part by part.
std::map<std::string, Products> compare(RecordedRun<bf16> const& mixed, RecordedRun<> const& full) {
  REQUIRE(mixed.parameters().list().size() == full.parameters().list().size());
  auto const a = to_host(mixed.context(), mixed.parameters().gradients()),
             b = to_host(full.context(), full.parameters().gradients());
  std::map<std::string, Products> parts;
  for (auto const& entry : full.parameters().list())
    for (std::size_t i = entry.offset; i < entry.offset + entry.size; ++i) {
      double const x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
      auto& part = parts[part_of(entry.name)];
      part.aa += x * x, part.ab += x * y, part.bb += y * y;
    }
  return parts;
}

}  // namespace

TEST_CASE("Loss and gradients with a bf16 image encoder are those of its rounded weights") {
  Context<Exec> const context;
  RecordedRun<bf16> mixed(context, "rate_x1");
  NamedTensors rounded;
  rounded.tensors = model_tensors(context, mixed.network());
  RecordedRun<> full(context, "rate_x1", rounded);
  double const a = mixed.gradients(), b = full.gradients();
  CHECK(std::fabs(a / b - 1) < 1e-5);
  for (auto const& [part, products] : compare(mixed, full)) {
    MESSAGE(part, ": relative error ", products.relative_error());
    CHECK(products.relative_error() < 1e-5);
  }
}

TEST_CASE("Loss and gradients with a bf16 image encoder are near those of fp32") {
  Context<Exec> const context;
  RecordedRun<bf16> mixed(context, "rate_x1");
  RecordedRun<> full(context, "rate_x1");
  double const a = mixed.gradients(), b = full.gradients();
  MESSAGE("relative difference of the loss ", a / b - 1);
  CHECK(a != b);
  CHECK(std::fabs(a / b - 1) < 1e-4);
  auto const parts = compare(mixed, full);
  CHECK(parts.size() == 10);
  for (auto const& [part, products] : parts) {
    MESSAGE(part, ": cosine 1 - ", 1 - products.cosine(), ", relative error ", products.relative_error());
    CHECK(products.cosine() > 0.995);
    CHECK(products.relative_error() < 0.12);
  }
}

TEST_CASE("Twenty training steps with a bf16 image encoder stay near fp32") {
  Context<Exec> const context;
  for (auto const& [name, bound] : {std::pair{"rate_x1", 2e-3}, std::pair{"rate_x10", 1e-2}}) {
    auto const mixed = RecordedRun<bf16>(context, name).curve(), full = RecordedRun<>(context, name).curve();
    double const worst = test::largest_relative_difference(mixed, full);
    MESSAGE(std::string(name), ": largest relative difference of a loss ", worst);
    CHECK(worst < bound);
  }
}
