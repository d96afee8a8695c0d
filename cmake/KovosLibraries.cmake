# SPDX-License-Identifier: Apache-2.0
# Libraries whose own CMake packages are missing or broken on common systems: kovos::<name> stands for each.
function(kovos_find_library name header)
  if(TARGET kovos::${name})
    return()
  endif()
  find_path(KOVOS_${name}_INCLUDE_DIR ${header})
  find_library(KOVOS_${name}_LIBRARY ${name})
  mark_as_advanced(KOVOS_${name}_INCLUDE_DIR KOVOS_${name}_LIBRARY)
  if(KOVOS_${name}_INCLUDE_DIR AND KOVOS_${name}_LIBRARY)
    add_library(kovos::${name} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(kovos::${name} PROPERTIES IMPORTED_LOCATION ${KOVOS_${name}_LIBRARY}
                                                    INTERFACE_INCLUDE_DIRECTORIES ${KOVOS_${name}_INCLUDE_DIR})
  endif()
endfunction()
kovos_find_library(utf8proc utf8proc.h)
kovos_find_library(zip zip.h)
kovos_find_library(dnnl dnnl.hpp)  # Debian's package of oneDNN stops where OpenCL is not installed, which we do not need
