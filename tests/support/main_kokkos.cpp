// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "kovos/core/execution.hpp"

int main(int count, char** arguments) {
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);
  kovos::Runtime runtime(settings);
  return doctest::Context(count, arguments).run();
}
