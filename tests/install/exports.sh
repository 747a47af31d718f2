# exports.sh - libquern, shared or static, exports exactly what the public header declares.
# SPDX-License-Identifier: MIT
# Usage: sh exports.sh NM LIBRARY HEADER
set -eu
nm=$1 library=$2 header=$3

# Mach-O puts an underscore in front of C names.
case $(uname),$library in
Darwin,*) "$nm" -gU "$library" | awk '{ sub(/^_/, "", $NF); print $NF }' ;;
*.a) "$nm" -g --defined-only "$library" | awk '$2 ~ /[TDRB]/ { print $NF }' ;; # weak ones clash with nobody
*) "$nm" -D --defined-only "$library" | awk '$2 != "A" { print $NF }' ;;
esac | sort >exported.txt
# Declarations run over lines: join them, and take the name in front of the first parenthesis.
tr '\n' ' ' <"$header" | grep -o 'QUERN_API [^(;]*(' | grep -o 'quern_[a-z0-9_]*($\|quern_[a-z0-9_]* *($' |
    tr -d '( ' | sort >declared.txt

[ -s declared.txt ] || { echo "$header: no declaration found"; exit 1; }
if ! diff declared.txt exported.txt; then
    echo "$library: '<' is declared in $header and not exported, '>' exported and not declared"
    exit 1
fi
echo "$(wc -l <exported.txt) functions exported, as declared"
