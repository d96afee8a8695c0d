// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kovos/segmentation/any_model.hpp"

namespace kovos::cli {

/// The model of --model, or the embedded one, with --vocabulary and --precision. In a file of its own, because
/// compiling all presets takes a minute and one time is enough.
AnyModel<> load_model(std::string const& model, std::string const& vocabulary, std::string const& precision);

}  // namespace kovos::cli
