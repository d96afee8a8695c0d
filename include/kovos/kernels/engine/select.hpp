// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/engines.hpp"
