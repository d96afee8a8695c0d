// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a program that segments pictures needs.

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/drawing/overlay.hpp"
#include "kovos/io/image.hpp"
#include "kovos/segmentation/cat_seg.hpp"
#include "kovos/version.hpp"
