# install.sh - installs into a new prefix, and builds and runs a program on it in both ways offered.
# SPDX-License-Identifier: MIT
# Usage: CC=... CMAKE=... CMAKE_GENERATOR=... sh install.sh BUILD CONSUMER STAGE LIBDIR DATADIR
# CONSUMER: the folder of the program. STAGE: a folder to work in, emptied first. LIBDIR, DATADIR: where
# libraries and data lie, relative to the prefix.
set -eu
build=$1 consumer=$2 stage=$3 libdir=$4 datadir=$5
rm -rf "$stage"
prefix=$stage/prefix
"$CMAKE" --install "$build" --prefix "$prefix" >"$stage.log" || { cat "$stage.log"; exit 1; }
model=$prefix/$datadir/quern/books-7m-q8_0.gguf
"$prefix/bin/quern" --version

# pkg-config: only the installed file, no folder of the source.
PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
pkg-config --modversion quern
"$CC" -std=c17 -Wall -Wextra -Werror "$consumer/main.c" $(pkg-config --cflags --libs quern) \
    -o "$stage/by_pkg_config"

"$CMAKE" -S "$consumer" -B "$stage/by_cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$CC" \
    >"$stage.log" 2>&1 || { cat "$stage.log"; exit 1; }
"$CMAKE" --build "$stage/by_cmake" >"$stage.log" 2>&1 || { cat "$stage.log"; exit 1; }

# A shared libquern is found in the prefix; a static one needs no path.
LD_LIBRARY_PATH=$prefix/$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
for program in "$stage/by_pkg_config" "$stage/by_cmake/consumer"; do
    text=$("$program" "$model")
    echo "$program: $text"
    [ "${#text}" -gt 10 ] || { echo "$program: hardly any text"; exit 1; }
done
