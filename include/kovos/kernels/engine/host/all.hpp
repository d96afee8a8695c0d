// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the host engine has.
#include "kovos/core/config.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#ifdef KOVOS_HOST_ENGINE
#include "kovos/kernels/engine/host/activation.hpp"
#include "kovos/kernels/engine/host/attention.hpp"
#include "kovos/kernels/engine/host/attention_gradient.hpp"
#include "kovos/kernels/engine/host/convolution.hpp"
#include "kovos/kernels/engine/host/elementwise.hpp"
#include "kovos/kernels/engine/host/gemm.hpp"
#include "kovos/kernels/engine/host/label_choice.hpp"
#include "kovos/kernels/engine/host/linear_attention.hpp"
#include "kovos/kernels/engine/host/norm_attention.hpp"
#include "kovos/kernels/engine/host/normalization.hpp"
#include "kovos/kernels/engine/host/pre_norm.hpp"
#include "kovos/kernels/engine/host/resample.hpp"
#include "kovos/kernels/engine/host/sums.hpp"
#include "kovos/kernels/engine/host/window_blending.hpp"
#include "kovos/kernels/engine/host/window_block.hpp"
#endif
