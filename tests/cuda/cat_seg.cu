// SPDX-License-Identifier: Apache-2.0
// CAT-Seg B on a device: a picture in words given and words to encode, and training.
#include "kovos/segmentation/cat_seg.hpp"

#include "kovos/autodiff/rules.hpp"
#include "kovos/training/tasks.hpp"
#include "kovos/training/trainer.hpp"

namespace kovos {

using Device = Kokkos::Cuda;
using Model = CatSeg<cat_seg_vit_b16, float, Device>;
using Task = CatSegTask<cat_seg_vit_b16, float, Device>;

Segmentation segment(Model const& model, Image const& picture, ClassList const& classes,
                     SegmentOptions const& options) {
  return model.segment(picture, model.encode(classes), options);
}

template class Trainer<Task, Device>;

}  // namespace kovos
