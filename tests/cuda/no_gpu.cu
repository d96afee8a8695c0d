// SPDX-License-Identifier: Apache-2.0
// What a machine without a GPU hears of a build that wants one. Run where there is none; see compile.sh.
#include <cstdio>

#include "kovos/core/device.hpp"

int main() try {
  kovos::detail::require_device();
} catch (kovos::DeviceError const& error) {
  return std::puts(error.what()), 1;
}
