#!/bin/sh
# run.sh - installs what is missing, builds, runs the tests, prints their counts.
# SPDX-License-Identifier: MIT
# Usage: sh tests/run.sh [--preset NAME] [option of ctest]...
# NAME: a preset of CMakePresets.json, default release. Tests labelled heavy run only when labels are
# chosen (-L heavy). The last line counts programs, of which most hold many cases.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
preset=release
if [ "${1:-}" = --preset ]; then
    preset=${2:?tests/run.sh: --preset needs a name}
    shift 2
fi
[ "$preset" = aarch64 ] && needs=aarch64 || needs=tests
sh "$root/apps/setup.sh" "$needs"
cd "$root"
build=build/$preset
mkdir -p "$build"
log=$build/run.log

# Warnings stop a build where the compilers are known (CI), not a stranger's with a newer one.
build_tests() {
    if [ ! -e "$build/build.ninja" ] || [ "$(find CMakePresets.json -newer "$build/build.ninja")" ] ||
        ! grep -q '^BUILD_TESTING:BOOL=ON' "$build/CMakeCache.txt"; then
        cmake --preset "$preset" -DBUILD_TESTING=ON ${CI:+-DQUERN_WERROR=ON} || return
    fi
    cmake --build "$build"
}
echo "tests: building in $build"
build_tests >"$log" 2>&1 || {
    cat "$log" >&2
    echo "tests: the build failed" >&2
    exit 1
}

case " $* " in
*' -L '* | *' -LE '*) ;;
*) set -- -LE heavy "$@" ;;
esac
# A pipe has the status of its last command, so ctest's travels by file.
{ ctest --test-dir "$build" --output-on-failure --no-tests=error "$@" 2>&1 && status=0 || status=$?
    echo "$status" >"$build/run.status"; } | tee "$log"
awk '
    /^ *[0-9]+\/[0-9]+ Test +#/ {
        if (/ Passed +[0-9.]+ sec/) passed++
        else if (/\*\*\*Skipped/) skipped++
        else failed++
    }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$(cat "$build/run.status")"
