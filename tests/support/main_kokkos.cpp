// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"

int main(int count, char** arguments) try {
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);
  kovos::Runtime runtime(settings);
  return doctest::Context(count, arguments).run();
} catch (kovos::DeviceError const& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
