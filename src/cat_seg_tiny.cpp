// SPDX-License-Identifier: Apache-2.0
#include "kovos/segmentation/cat_seg.hpp"

template class kovos::Segmenter<kovos::CatSeg<kovos::cat_seg_tiny, float>::Network>;
template class kovos::Segmenter<kovos::CatSeg<kovos::cat_seg_tiny, kovos::bf16>::Network>;
