// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the portable engine has: everything.
#include "kovos/kernels/engine/portable/activation.hpp"
#include "kovos/kernels/engine/portable/attention.hpp"
#include "kovos/kernels/engine/portable/convolution.hpp"
#include "kovos/kernels/engine/portable/elementwise.hpp"
#include "kovos/kernels/engine/portable/gemm.hpp"
#include "kovos/kernels/engine/portable/grouped_reduction.hpp"
#include "kovos/kernels/engine/portable/leading_axis_attention.hpp"
#include "kovos/kernels/engine/portable/linear_attention.hpp"
#include "kovos/kernels/engine/portable/losses.hpp"
#include "kovos/kernels/engine/portable/norm_attention.hpp"
#include "kovos/kernels/engine/portable/normalization.hpp"
#include "kovos/kernels/engine/portable/pooling.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/portable/pre_norm.hpp"
#include "kovos/kernels/engine/portable/softmax.hpp"
#include "kovos/kernels/engine/portable/sums.hpp"
#include "kovos/kernels/engine/portable/transposed_convolution.hpp"
#include "kovos/kernels/engine/portable/window.hpp"
#include "kovos/kernels/engine/portable/window_block.hpp"
