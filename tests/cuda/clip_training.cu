// SPDX-License-Identifier: Apache-2.0
// CLIP on a device: training, with blocks computed again, and with matrices stored as bf16.
#include "kovos/autodiff/rules.hpp"
#include "kovos/training/tasks.hpp"
#include "kovos/training/trainer.hpp"

namespace kovos {

using Device = Kokkos::Cuda;

template class Trainer<ClipTask<clip_vit_b16, bf16, Device>, Device, Recompute::blocks>;

}  // namespace kovos
