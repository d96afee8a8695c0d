#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stands before the compiler: the text is checked, templates included, no code is made; the object is an empty stamp.
# A header that is to be precompiled is compiled as ever.
set -euo pipefail
object=''
for ((i = 1; i <= $#; ++i)); do
  [ "${!i}" != c++-header ] || exec "$@"
  if [ "${!i}" = -o ]; then
    next=$((i + 1))
    object=${!next}
  fi
done
"$@" -fsyntax-only
: >"$object"
