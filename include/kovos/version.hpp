// SPDX-License-Identifier: Apache-2.0
#pragma once

// CMake reads the version from these three lines.
#define KOVOS_VERSION_MAJOR 0
#define KOVOS_VERSION_MINOR 1
#define KOVOS_VERSION_PATCH 0

#define KOVOS_VERSION_STRING "0.1.0"
