// SPDX-License-Identifier: Apache-2.0
#define KOVOS_BUILDS_INSTRUCTION_SETS
#include "kovos/kernels/engine/host/kernels.hpp"
