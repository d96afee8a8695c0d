// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the portable engine has: everything.
#include "kovos/kernels/engine/portable/activation.hpp"
#include "kovos/kernels/engine/portable/convolution.hpp"
#include "kovos/kernels/engine/portable/elementwise.hpp"
#include "kovos/kernels/engine/portable/gemm.hpp"
#include "kovos/kernels/engine/portable/normalization.hpp"
#include "kovos/kernels/engine/portable/pooling.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/portable/sums.hpp"
#include "kovos/kernels/engine/portable/transposed_convolution.hpp"
