# isa_flags.sh - objects that run on every machine hold no instruction that some machines lack.
# SPDX-License-Identifier: MIT
# Usage: sh isa_flags.sh PROCESSOR OBJDUMP NM BASELINE WIDE
# PROCESSOR: what the objects are for.
# BASELINE, WIDE: files that list objects, one a line: those compiled for any machine, and those of the
# folders of an instruction set, which are entered only after the CPU was asked.
set -eu
processor=$1 objdump=$2 nm=$3 baseline=$4 wide=$5

# What the compiler would emit under -mavx or more (every VEX and EVEX mnemonic on vectors begins with v),
# or for Arm's dot products and SVE.
case $processor in
x86_64) forbidden='	v[a-z0-9]+ .*%[xyz]mm' ;;
aarch64 | arm64) forbidden='	([su]|us|su|bf)dot[ 	]|	[a-z]+mmla[ 	]|[ ,{]z[0-9]+\.[bhsd]' ;;
*) echo "skipped: no list of instructions for $processor"; exit 77 ;;
esac

# Coverage first: an empty list or a disassembler that fails would find nothing either.
n_objects=0 failed=0
while read -r object; do
    "$objdump" -d --no-show-raw-insn "$object" >isa_flags.asm
    grep -q 'file format' isa_flags.asm || { echo "$object: not disassembled"; exit 1; }
    n_objects=$((n_objects + 1))
    if grep -E -m 3 "$forbidden" isa_flags.asm; then
        echo "$object: instructions beyond the baseline (above)"
        failed=1
    fi
done <"$baseline"
[ "$n_objects" -gt 0 ] || { echo "$baseline lists no object"; exit 1; }

# Had such an object a weak function (a C++ template, a plain inline), the linker might keep that copy for
# the whole program.
while read -r object; do
    if "$nm" "$object" | grep -E ' [WV] '; then
        echo "$object: weak symbols (above) could replace the baseline's"
        failed=1
    fi
done <"$wide"

echo "$n_objects objects looked at"
exit $failed
