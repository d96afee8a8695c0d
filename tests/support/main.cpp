// SPDX-License-Identifier: Apache-2.0
// Both, because what the second implies comes too late behind a precompiled header.
#define DOCTEST_CONFIG_IMPLEMENT
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
