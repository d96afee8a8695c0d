# SPDX-License-Identifier: Apache-2.0
# The upstream Kokkos that is taken where none is installed: it knows CUDA 12.2 to 13. As a script it downloads and
# unpacks it: cmake -DTO=FOLDER -P KovosKokkosRelease.cmake leaves the sources in FOLDER/kokkos-VERSION.
set(KOVOS_KOKKOS_VERSION 5.2.2)
set(KOVOS_KOKKOS_URL https://github.com/kokkos/kokkos/releases/download/${KOVOS_KOKKOS_VERSION}/kokkos-${KOVOS_KOKKOS_VERSION}.tar.gz)
set(KOVOS_KOKKOS_SHA256 d6557aaef39302282a15f9c770433d1fcdf4e961dfd6d9ed726b9d0d0f546b9f)

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  set(archive ${TO}/kokkos-${KOVOS_KOKKOS_VERSION}.tar.gz)
  file(DOWNLOAD ${KOVOS_KOKKOS_URL} ${archive} STATUS status INACTIVITY_TIMEOUT 60)
  list(GET status 0 code)
  if(NOT code EQUAL 0)
    list(GET status 1 why)
    file(REMOVE ${archive})
    message(FATAL_ERROR "Kokkos ${KOVOS_KOKKOS_VERSION} cannot be downloaded (${why})")
  endif()
  file(SHA256 ${archive} sum)
  if(NOT sum STREQUAL KOVOS_KOKKOS_SHA256)
    file(REMOVE ${archive})
    message(FATAL_ERROR "What came for Kokkos ${KOVOS_KOKKOS_VERSION} is not the release: its SHA-256 is ${sum}")
  endif()
  file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${TO})
endif()
