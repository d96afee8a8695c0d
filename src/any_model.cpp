// SPDX-License-Identifier: Apache-2.0
#include "kovos/segmentation/any_model.hpp"

template kovos::AnyModel<> kovos::AnyModel<>::load<kovos::cat_seg_presets>(std::filesystem::path const&,
                                                                           std::optional<std::filesystem::path> const&,
                                                                           Precision, Context<>);
