#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The texts of collect: files, directories, pipes and JSONL, plain and as chats; weights and samples; what
# is recorded of them; and what is refused.
set -euo pipefail
source "$(dirname "$0")/common.sh"

out=$scratch/out.imatrix
collect() { "$IMATRIX" collect -m "$model" -c 64 -o "$out" "$@" 2> "$scratch/err"; }
refused() { expect_error 1 "$1" "$IMATRIX" collect -m "$model" -o "$out" "${@:2}"; }

# The statistics alone, whatever the text is called: the dat format ends with the last text's name.
sums_of() { # NAME ARGUMENTS...
    collect --output-format dat "${@:2}" > /dev/null
    head -c "-$((${#1} + 8))" "$out" | cksum
}

head -c 5000 "$calibration" > "$scratch/text.txt"
mkdir "$scratch/folder" "$scratch/empty"
jq -Rcs 'split("\n\n")[] | {text: .}' "$scratch/text.txt" > "$scratch/docs.jsonl"
jq -r .text "$scratch/docs.jsonl" > "$scratch/folder/docs.md"

# One text is one text, however it comes.
expected=$(sums_of text.txt -f "$scratch/text.txt")
[ "$(sums_of text.txt -f "$scratch/text.txt:1")" = "$expected" ] || fail "a weight of 1 changes the result"
[ "$(sums_of "standard input" -f - < "$scratch/text.txt")" = "$expected" ] || fail "standard input differs"
mkfifo "$scratch/pipe"
cat "$scratch/text.txt" > "$scratch/pipe" &
[ "$(sums_of pipe -f "$scratch/pipe")" = "$expected" ] || fail "a pipe differs"

# Packed JSONL is the same text as its documents on lines of their own.
expected=$(sums_of docs.md -f "$scratch/folder/docs.md")
[ "$(sums_of folder -f "$scratch/folder")" = "$expected" ] || fail "a directory differs"
[ "$(sums_of docs.jsonl -f "$scratch/docs.jsonl")" = "$expected" ] || fail "JSONL differs"
[ "$(sums_of "standard input" -f - < "$scratch/docs.jsonl")" = "$expected" ] || fail "piped JSONL differs"

# Documents end their chunks.
collect -f "$scratch/docs.jsonl" --by-document --json > "$scratch/documents.json"
collect -f "$scratch/docs.jsonl" --json > "$scratch/packed.json"
jq -es '.[0].n_chunks > .[1].n_chunks' "$scratch/documents.json" "$scratch/packed.json" > /dev/null ||
    fail "--by-document makes no more chunks"

# Weights and samples: counted, recorded, the same for any number of threads, another for another seed.
chosen=(-f "$scratch/text.txt:0.5" -f "$scratch/docs.jsonl:0.25" --sample 5 --output-format gguf --json)
collect "${chosen[@]}" --seed 7 -t 1 > "$scratch/chosen.json"
mv "$out" "$scratch/one.imatrix"
collect "${chosen[@]}" --seed 7 -t 2 > /dev/null
cmp "$out" "$scratch/one.imatrix"
collect "${chosen[@]}" --seed 8 > /dev/null
! cmp -s "$out" "$scratch/one.imatrix" || fail "another seed makes the same choice"
jq -e --arg hash "$(jq -r '.texts[0].hash' "$scratch/packed.json")" '
    .n_chunks == 5 and ([.texts[].n_chunks] | add) == 5 and ([.texts[].n_tokens] | add) == .n_tokens and
    [.texts[].name] == ["text.txt", "docs.jsonl"] and [.texts[].weight] == [0.5, 0.25] and
    .texts[1].hash == $hash' "$scratch/chosen.json" > /dev/null ||
    fail "the shares are wrong: $(< "$scratch/chosen.json")"
strings -n 4 "$scratch/one.imatrix" > "$scratch/strings"
for word in text.txt docs.jsonl source_weights source_tokens source_chunks \
    "$(jq -r '.texts[1].hash' "$scratch/chosen.json")"; do
    grep -q "$word" "$scratch/strings" || fail "$word is not in the imatrix"
done
! grep -q "$scratch" "$scratch/strings" || fail "a path is in the imatrix"
collect -f "$scratch/text.txt" -f "$scratch/docs.jsonl:0.5" > "$scratch/summary"
grep -qE '^  docs.jsonl: [0-9]+ tokens in [0-9]+ chunks, weight 0.5$' "$scratch/summary" ||
    fail "the summary does not tell the texts: $(< "$scratch/summary")"

# Chats need a template.
cat > "$scratch/chat.jsonl" << 'EOF'
{"messages": [{"role": "user", "content": "How is a table dropped?"}, {"role": "assistant", "content": "With DROP TABLE."}]}
EOF
refused 'chat.jsonl: line 1: .*no chat template.* ChatML, .*Llama 3' -f "$scratch/chat.jsonl"
"$IMATRIX" quantize --override-kv 'tokenizer.chat_template=str:<|im_start|> <|im_end|>' "$model" \
    "$scratch/chatml.gguf" F16 > /dev/null 2>&1
printf '<|im_start|>user\nHow is a table dropped?<|im_end|>\n<|im_start|>assistant\nWith DROP TABLE.<|im_end|>\n' \
    > "$scratch/chat.txt"
model=$scratch/chatml.gguf
[ "$(sums_of chat.jsonl -f "$scratch/chat.jsonl")" = \
    "$(sums_of chat.txt -f "$scratch/chat.txt" --parse-special)" ] || fail "a chat is not its rendering"

# What is refused.
rm -f "$out"
: > "$scratch/empty.jsonl"
echo '{"text": "a"' > "$scratch/cut.jsonl"
refused 'empty.jsonl: too short: 0 tokens' -f "$scratch/text.txt" -f "$scratch/empty.jsonl"
refused 'cut.jsonl: line 1: ' -f "$scratch/cut.jsonl"
refused 'empty: no texts in this directory' -f "$scratch/empty"
refused 'nowhere.txt: cannot open' -f "$scratch/nowhere.txt:0.5"
refused 'text.txt:1.5: a weight' -f "$scratch/text.txt:1.5"
refused 'standard input: too short' -f - < /dev/null
expect_error 2 'invalid value .0. for --sample' "$IMATRIX" collect -m "$model" -f "$scratch/text.txt" --sample 0
[ ! -e "$out" ] || fail "something was written in spite of an error"
expect_no_leftovers "$scratch"
echo "the texts of collect work"
