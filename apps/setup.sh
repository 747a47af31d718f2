# setup.sh - installs what a build of quern needs and this machine lacks, with apt-get or brew.
# SPDX-License-Identifier: MIT
# Usage: sh apps/setup.sh demo|tests|ci|aarch64
# demo: to build and run quern. tests: also what its tests need. ci: also what .ci/run adds to them.
# aarch64: what the preset of that name adds to tests, on Debian.
# Silent, and done in a blink, when nothing is missing. Says what it installs before it does.
set -eu

# Who needs it, how to see that it is there, Debian/Ubuntu packages, brew formulas ("-": none, or part of
# Apple's command line tools).
requirements() {
    cat <<'EOT'
demo  | command -v "${CC:-cc}"            | gcc                  | -
demo  | command -v "${CXX:-c++}"          | g++                  | -
demo  | command -v cmake                  | cmake                | cmake
demo  | command -v ninja                  | ninja-build          | ninja
demo  | command -v pkg-config             | pkg-config           | pkgconf
demo  | has_openmp                        | -                    | libomp
demo  | pkg-config --exists sentencepiece | libsentencepiece-dev | sentencepiece
demo  | pkg-config --exists jansson       | libjansson-dev       | jansson
demo  | has_numa                          | libnuma-dev          | -
tests | pkg-config --exists cmocka        | libcmocka-dev        | cmocka
tests | command -v objdump                | binutils             | -
tests | command -v ccache                 | ccache               | ccache
ci    | command -v clang                  | clang                | -
ci    | has_clang_file include/omp.h      | libomp-dev           | -
ci    | has_clang_file lib/linux          | libclang-rt-dev      | -
ci    | command -v llvm-symbolizer        | llvm                 | -
ci    | command -v valgrind               | valgrind             | -
aarch64 | command -v aarch64-linux-gnu-gcc  | gcc-aarch64-linux-gnu libc6-dev-arm64-cross | -
aarch64 | command -v aarch64-linux-gnu-g++  | g++-aarch64-linux-gnu | -
aarch64 | command -v qemu-aarch64-static    | qemu-user-static     | -
EOT
}

# gcc has OpenMP in it; Apple's clang has not.
has_openmp() {
    [ "$(uname)" != Darwin ] || [ -e /opt/homebrew/opt/libomp ] || [ -e /usr/local/opt/libomp ]
}

# Optional, and only Linux has it.
has_numa() { [ "$(uname)" != Linux ] || pkg-config --exists numa; }

has_clang_file() { [ -e "$(clang -print-resource-dir)/$1" ]; }

# What $1 needs and this machine lacks: the packages of column $2 (3: Debian, 4: brew).
missing() {
    case $1 in
    demo) levels=' demo ' ;;
    tests) levels=' demo tests ' ;;
    ci) levels=' demo tests ci ' ;;
    aarch64) levels=' demo tests aarch64 ' ;;
    esac
    requirements | while IFS='|' read -r level probe debian brew; do
        case $levels in *" ${level%% *} "*) ;; *) continue ;; esac
        eval "$probe" >/dev/null 2>&1 && continue
        [ "$2" = 3 ] && packages=$debian || packages=$brew
        for package in $packages; do
            [ "$package" = - ] || printf ' %s' "$package"
        done
    done
}

install_debian() {
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "setup: not root and no sudo; please install:$1" >&2
            return 1
        }
        as_root=sudo
    fi
    echo "setup: installing with ${as_root:+sudo }apt-get:$1"
    log=$(mktemp)
    # The package list may be old or absent; one source of it that fails matters only if packages lack.
    status=0
    {
        $as_root apt-get update -q
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $1
    } >"$log" 2>&1 </dev/null || status=$?
    if [ $status != 0 ]; then
        cat "$log" >&2
        echo "setup: apt-get failed; needed:$1" >&2
    fi
    rm -f "$log"
    return $status
}

# Libraries for arm64, unpacked where cmake/aarch64.cmake looks: installing them would drive out those of
# this machine. apt-get keeps its lists for it in a folder of their own, and needs no root for that.
unpack_arm64_libraries() {
    root=$(cd "$(dirname "$0")/.." && pwd)/build/aarch64-root
    [ ! -e "$root/complete" ] || return 0
    packages="libsentencepiece0 libsentencepiece-dev libjansson4 libjansson-dev libcmocka0 libcmocka-dev"
    echo "setup: unpacking for arm64 into $root: $packages"
    rm -rf "$root"
    mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
    (
        cd "$root/apt"
        as_arm64="-q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State=$root/apt
            -o Dir::State::status=/dev/null -o Dir::Cache=$root/apt -o APT::Sandbox::User="
        apt-get $as_arm64 update && apt-get $as_arm64 download $packages &&
            for file in *.deb; do dpkg-deb -x "$file" "$root" || exit; done
    ) >"$root/log" 2>&1 </dev/null || {
        cat "$root/log" >&2
        echo "setup: apt-get found no packages for arm64" >&2
        return 1
    }
    rm -rf "$root/apt"
    touch "$root/complete"
}

case ${1:-} in
demo | tests | ci | aarch64) ;;
*)
    echo "usage: sh apps/setup.sh demo|tests|ci|aarch64" >&2
    exit 2
    ;;
esac

if [ "$(uname)" = Darwin ]; then
    command -v cc >/dev/null || { echo "setup: no compiler; run: xcode-select --install" >&2; exit 1; }
    packages=$(missing "$1" 4)
    [ -n "$packages" ] || exit 0
    command -v brew >/dev/null || {
        echo "setup: no brew (https://brew.sh); please install:$packages" >&2
        exit 1
    }
    echo "setup: installing with brew:$packages"
    brew install --quiet $packages
else
    packages=$(missing "$1" 3)
    if [ -n "$packages" ]; then
        command -v apt-get >/dev/null || {
            echo "setup: not Debian, Ubuntu or macOS; please install what they call:$packages" >&2
            exit 1
        }
        install_debian "$packages"
    fi
    [ "$1" != aarch64 ] || unpack_arm64_libraries
fi
