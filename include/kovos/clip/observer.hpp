// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace kovos {

/// The observer nobody listens to. A model calls observe(name, tensor) for each intermediate result; pass a callable of
/// your own to look at them (tests compare them with the authors' code, examples draw them).
struct Unobserved {
  template <class V>
  void operator()(std::string_view, V const&) const {}
};

}  // namespace kovos
