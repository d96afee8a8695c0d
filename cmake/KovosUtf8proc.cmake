# SPDX-License-Identifier: Apache-2.0
# utf8proc ships a CMake package on some systems only: kovos::utf8proc stands for it everywhere.
if(NOT TARGET kovos::utf8proc)
  find_path(KOVOS_UTF8PROC_INCLUDE_DIR utf8proc.h)
  find_library(KOVOS_UTF8PROC_LIBRARY utf8proc)
  mark_as_advanced(KOVOS_UTF8PROC_INCLUDE_DIR KOVOS_UTF8PROC_LIBRARY)
  if(KOVOS_UTF8PROC_INCLUDE_DIR AND KOVOS_UTF8PROC_LIBRARY)
    add_library(kovos::utf8proc UNKNOWN IMPORTED GLOBAL)
    set_target_properties(kovos::utf8proc PROPERTIES IMPORTED_LOCATION ${KOVOS_UTF8PROC_LIBRARY}
                                                     INTERFACE_INCLUDE_DIRECTORIES ${KOVOS_UTF8PROC_INCLUDE_DIR})
  endif()
endif()
