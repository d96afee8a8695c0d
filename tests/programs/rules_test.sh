#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whose rules `kovos evaluate` says it counts by.
#   rules_test.sh KOVOS FOLDER
set -u
kovos=$1 work=$2
make="$(dirname "$0")/make_benchmarks.py"
rm -rf "$work"
mkdir -p "$work"
failures=0

# says LINE LAYOUT OPTIONS...: the one line about the rules; none if empty.
says() {
  local line=$1 layout=$2 said
  shift 2
  [ -d "$work/$layout" ] || python3 "$make" "$work/$layout" "$layout"
  said=$("$kovos" evaluate --benchmark "${layout%%-*}" --data "$work/$layout/data" --predictions "$work/$layout/predictions" \
    "$@" 2>"$work/err" | grep "^'all'")
  [ "$said" = "$line" ] || { echo "FAILED: $layout $*: says '$said', expected '$line' ($(cat "$work/err"))"; failures=1; }
}

wrong="predictions outside the list are wrong, a class that is only predicted"
says "'all' is counted as MESS does: $wrong has an IoU of 0" mess_cwfid-prepared
says "'all' is counted as MESS does: $wrong has an IoU of 0" mess_cwfid-prepared --outside-predictions count_as_wrong
says "'all': $wrong does not count" mess_cwfid-prepared --absent-classes left_out
says "" mess_cwfid-prepared --outside-predictions left_out
says "" voc20-prepared
says "'all': $wrong does not count" voc20-prepared --outside-predictions count_as_wrong
says "'all': $wrong has an IoU of 0" voc20-prepared --outside-predictions count_as_wrong --absent-classes zero_if_predicted
[ $failures = 0 ] || exit 1
echo "each evaluation says by whose rules it counts"
