// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace kovos {

/// Something that began or ended while a Trace ran.
struct TraceEvent {
  std::string name;        // empty where it ends
  bool begins = true;      // what ends is what began last on this thread
  double seconds = 0;      // since the trace was opened
  std::size_t thread = 0;  // counted from 0, in order of first appearance
};

}  // namespace kovos
