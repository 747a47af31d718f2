#!/bin/sh
# demo.sh - from a fresh clone to text that a model writes: installs what is missing, builds, runs.
# SPDX-License-Identifier: MIT
# Usage: sh apps/demo.sh [option of `quern complete`]...
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/apps/setup.sh" demo

build=$root/build/release
log=$root/build/demo.log
mkdir -p "$root/build"
build_quern() {
    # A build folder that the tests made keeps its tests.
    [ -e build/release/build.ninja ] || cmake --preset release -DBUILD_TESTING=OFF || return
    cmake --build build/release --target quern_cli
}
[ -x "$build/quern" ] || echo "demo: building quern in build/release (once, about a minute)"
(cd "$root" && build_quern) >"$log" 2>&1 || {
    cat "$log" >&2
    echo "demo: the build failed" >&2
    exit 1
}

echo "demo: quern complete -p 'The old man walked' -n 64 --temp 0, with the bundled 7 million parameter model"
exec "$build/quern" complete -p "The old man walked" -n 64 --temp 0 "$@"
