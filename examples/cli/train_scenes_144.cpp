// SPDX-License-Identifier: Apache-2.0
#include "train_run.hpp"

template int kovos::cli::train<kovos::cat_seg_scenes_144>(TrainingRun const&);
