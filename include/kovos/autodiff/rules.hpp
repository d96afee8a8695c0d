// SPDX-License-Identifier: Apache-2.0
#pragma once

// The gradient rules of all kernels that models are made of. Include this to run layers in a Tape.
#include "kovos/autodiff/attention.hpp"
#include "kovos/autodiff/convolution.hpp"
#include "kovos/autodiff/data_movement.hpp"
#include "kovos/autodiff/elementwise.hpp"
#include "kovos/autodiff/gemm.hpp"
#include "kovos/autodiff/guided_upsampling.hpp"
#include "kovos/autodiff/leading_axis_attention.hpp"
#include "kovos/autodiff/linear_attention.hpp"
#include "kovos/autodiff/no_gradient.hpp"
#include "kovos/autodiff/normalization.hpp"
#include "kovos/autodiff/pre_norm.hpp"
#include "kovos/autodiff/resample.hpp"
#include "kovos/autodiff/slices.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/autodiff/window_block.hpp"
