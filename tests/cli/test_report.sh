#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# report: from what every command prints, from names that are traps, and from what is no input at all.
set -euo pipefail
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/report_inputs.sh"
cd "$scratch"

# expect_times N PATTERN FILE: that many lines match.
expect_times() {
    local n
    n=$(grep -cE "$2" "$3" || true)
    [ "$n" -eq "$1" ] || fail "$3: $n lines instead of $1 with $2"
}

make_report_inputs
"$IMATRIX" report -o report.html inputs/*.json > said.txt
grep -q '^report.html: .* of 11 inputs$' said.txt || fail "said: $(< said.txt)"

# A section for everything there is, a mark for every file measured, a cell for every matrix.
for section in losses recipes errors importance concentration findings provenance; do
    expect_times 1 "<section id=\"$section\">" report.html
done
expect_times 0 '<section id="experts">' report.html
expect_times 3 '<svg class="mark"' report.html
expect_times 108 '<g class="cell s[0-9]+"><title>tensor: (blk|token_embd)' <(sed '/id="errors"/,$d' report.html)
expect_times 70 '<g class="cell' <(sed -n '/id="importance"/,$p' report.html)
grep -q 'Q4_K_M</td><td class="code">Q2_K</td><td>.* ± .*</td><td class="text">better</td>' report.html || fail "differences"
grep -q '<h1>manuals-5M</h1>' report.html || fail "title"
grep -A4 '<dd class="code">calibration.txt</dd>' report.html | grep -q '<dt>hash</dt><dd class="code">[0-9a-f]\{32\}</dd>' || fail "the text's hash"
kl=$(jq -r '.kl_mean.value * 10000 | floor / 10000' inputs/Q4_K_M.eval.json)
sed -n '/id="losses"/,/id="recipes"/p' report.html | grep -q "Q4_K_M</td>.*<td>$kl" || fail "KL divergence $kl of Q4_K_M"
expect_times 0 'nan|inf[^oe]' <(grep '<svg\|<rect\|<line' report.html)

# The same from single evaluations, whose sizes quantize knows.
"$IMATRIX" report -o single.html inputs/*.eval.json inputs/*.quantize.json > /dev/null
expect_times 3 '<svg class="mark"' single.html
"$IMATRIX" report -o sizeless.html inputs/*.eval.json > /dev/null
expect_times 0 '<svg class="mark"' sizeless.html
expect_times 1 'Not drawn: 3 without a size' sizeless.html

# The front: "beaten" is larger than "good" and worse, "plain" a few bytes smaller and worse.
jq -n '{base: {}, candidates: [["small", 1000000, 0.1], ["good", 2000100, 0.01], ["plain", 2000000, 0.02],
    ["beaten", 3000000, 0.03], ["large", 4000000, 0.001]] | map({file: ("m-" + .[0] + ".gguf"), file_bytes: .[1],
    kl_mean: {value: .[2], error: 0.0001}})}' > front.json
"$IMATRIX" report -o front.html front.json > /dev/null
front=$(sed -n 's/^<tr><td class="code">\([a-z]*\)<.*<td>yes<.*/\1/p' front.html | tr '\n' ' ')
[ "$front" = "small good large " ] || fail "on the front: $front"
expect_times 3 '<circle class="best" r="5"' <(grep reach front.html)
expect_times 2 '<line class="front"' front.html

# Ten layers leave room for text in the cells on broad screens only.
jq '.weights |= [range(10) as $l | .[0] | .name = "blk.\($l).attn_q.weight"]' inputs/show.json > ten.json
"$IMATRIX" report -o ten.html ten.json > /dev/null
expect_times 20 '<text class="broad" x="[0-9.]+%" y="16">' ten.html

# One file, whole in itself, the same every time.
expect_times 0 'https?:|src=|@import|url\(' report.html
"$IMATRIX" report -o again.html inputs/*.json > /dev/null
cmp report.html again.html
"$IMATRIX" report -o titled.html --title 'A <b> & "c"' inputs/show.json > /dev/null
grep -q '<h1>A &lt;b&gt; &amp; &quot;c&quot;</h1>' titled.html || fail "--title"

# Names are text, whatever they are made of.
trap_name='<script>trapped()</script>"'"'"'><img src=x onerror=trapped()>&amp;'
mkdir traps
for input in inputs/*.json; do
    jq --arg trap "$trap_name" 'walk(if type == "string" then $trap + . else . end)' "$input" > "traps/$(basename "$input")"
done
jq --arg trap "$trap_name" '.weights[0].name = "blk.1." + $trap | .weights[1].name = "blk.99999999999999999999.x"' \
    inputs/show.json > traps/show.json
"$IMATRIX" report -o traps.html traps/*.json > /dev/null
expect_times 1 '<script' traps.html
expect_times 0 '<img|<b>' traps.html

# Numbers beyond reason, and values of other types than expected, are drawn or left out.
jq '.weights[0].mean = 1e308 | .weights[1].mean = 1e-308 | .weights[2].mean = "x" | .weights[3] = 7 | .weights[4].mean = -1' \
    inputs/show.json > odd.show.json
jq '.kl_mean.value = 0 | .kl_mean.error = -1' inputs/Q4_K_M.eval.json > odd.eval.json
jq '.tensors = {} | .disk_bytes = 1e300' inputs/Q4_K_M.quantize.json > odd.quantize.json
"$IMATRIX" report -o odd.html odd.*.json > /dev/null
expect_times 0 '"-?(nan|inf)' odd.html
expect_times 1 '<svg class="mark"' odd.html

# Experts.
shared=${IMATRIX_SHARED:-absent}
if [ -e "$shared/archs/llama-moe.ref.gguf" ]; then
    "$IMATRIX" show "$shared/archs/llama-moe.ref.gguf" --json > experts.json
    "$IMATRIX" report -o experts.html experts.json > /dev/null
    expect_times 1 '<section id="experts">' experts.html
    expect_times 6 '<svg class="mark"' experts.html
fi

# Bad input: a clear error, and the report that was there stays.
cp report.html kept.html
: > empty.json
echo '{"a": 1' > cut.json
echo '{"a": 1}' > foreign.json
echo '[]' > list.json
head -c 3000 inputs/show.json > half.json
expect_error 2 'needs at least one INPUT' "$IMATRIX" report -o kept.html
expect_error 1 'missing.json: .*No such file' "$IMATRIX" report -o kept.html missing.json
expect_error 1 'empty.json: is empty' "$IMATRIX" report -o kept.html inputs/show.json empty.json
expect_error 1 'cut.json: line [12], column [0-9]+: not JSON' "$IMATRIX" report -o kept.html cut.json
expect_error 1 'half.json: line [0-9]+, column [0-9]+: not JSON' "$IMATRIX" report -o kept.html half.json
expect_error 1 'foreign.json: .*none of the commands .*compare, quantize' "$IMATRIX" report -o kept.html foreign.json
expect_error 1 'list.json: .*none of the commands' "$IMATRIX" report -o kept.html list.json
expect_error 1 'manuals-5M-f16.gguf: line 1, column [0-9]+: not JSON' "$IMATRIX" report -o kept.html "$model"
expect_error 1 'missing/report.html: ' "$IMATRIX" report -o missing/report.html inputs/show.json
cmp report.html kept.html
expect_no_leftovers "$scratch"
echo "reports are drawn from every input, and names cannot break them"
