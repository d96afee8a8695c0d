// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>

#include "kovos/core/config.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"
#include "kovos/segmentation/segmenter.hpp"

namespace kovos {

/// A CAT-Seg model ready for use: network, tokenizer and execution context. Cho et al., CVPR 2024.
///
///     auto model  = CatSeg<cat_seg_vit_b16>::load("model_base.pth");
///     auto words  = model.encode({"cat", "sofa", "window"});
///     auto result = model.segment(read_image("cat.jpg"), words);
///
/// Config is the architecture (a preset or your own constexpr struct), T the storage type of the image encoder (float
/// or bf16), Exec the Kokkos execution space. What it can do stands at Segmenter.
template <CatSegConfig Config, class T = float, class Exec = Kokkos::DefaultExecutionSpace>
using CatSeg = Segmenter<CatSegNetwork<Config, T, typename Exec::memory_space>, Exec>;

#ifdef KOVOS_LINKS_MODELS
#define KOVOS_LINKED_PRESET(config)                                \
  extern template class Segmenter<CatSeg<config, float>::Network>; \
  extern template class Segmenter<CatSeg<config, bf16>::Network>;
KOVOS_CAT_SEG_PRESETS(KOVOS_LINKED_PRESET)
#undef KOVOS_LINKED_PRESET
#endif

}  // namespace kovos
