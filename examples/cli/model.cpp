// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <filesystem>

#include "command.hpp"
#include "kovos/segmentation/default_model.hpp"

namespace kovos::cli {

AnyModel<> load_model(std::string const& model, std::string const& vocabulary, std::string const& precision) {
  return AnyModel<>::load(model.empty() ? default_model_path() : std::filesystem::path(model),
                          optional_path(vocabulary),
                          precision == "bf16" ? AnyModel<>::Precision::bf16 : AnyModel<>::Precision::fp32);
}

}  // namespace kovos::cli
