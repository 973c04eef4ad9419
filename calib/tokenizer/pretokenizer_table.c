// SPDX-License-Identifier: MIT
//
// The pre-tokenizers by their names in tokenizer.ggml.pre. The expressions are those of the models'
// published tokenizers, in the form that llama.cpp gives them, because a model must be calibrated
// on the tokens it will see when it runs. Where that form differs from the publisher's, it is kept:
//
//   - upper and lower case are told apart for ASCII letters only (gpt-4o, tekken), or not at all
//     (tiny_aya, youtu);
//   - '~' is not among the symbols of the deepseek-v3 family, and U+3000 is not among the
//     punctuation of deepseek-llm;
//   - digits counted from the right (tiny_aya, afmoe) keep what stands in front of them in the same
//     part.
//
// White space is spelled out as S (the Unicode property White_Space) because PCRE2's \s has U+180E
// on top. Possessive and \G forms stand where the published form would scan a long run again and
// again; they match the same. Letters, digits and marks are those of Unicode 15.1 whatever PCRE2
// knows: see unicode_stand_in_table.c.

#include "calib/tokenizer/pretokenizer.h"

#define S                 "\\t-\\r\\x{85}\\p{Z}" // inside [ ]

#define SUFFIXES          "'s|'t|'re|'ve|'m|'ll|'d"
#define SUFFIXES_ANY_CASE "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define SPACES            "[" S "]+(?![^" S "])"
#define LINES_AND_SPACES  "[" S "]*[\\r\\n]+|" SPACES "|[" S "]+"
#define BLOOM             " ?[^(" S "|.,!?…。，、।۔،)]+"
#define LINES             "[^\\n]+|\\n+"
#define LEAD              "[^\\r\\n\\p{L}\\p{N}]?"
#define OTHERS            " ?[^" S "\\p{L}\\p{N}]+"
#define CJK               "[一-龥぀-ゟ゠-ヿ]+"

// An expression of the GPT-2 kind, and one of the kind that llama 3 and Qwen share.
#define GPT_2 SUFFIXES "| ?\\p{L}+| ?\\p{N}+|" OTHERS "|" SPACES
#define WORDS(numbers)                                                                             \
    SUFFIXES_ANY_CASE "|" LEAD "\\p{L}+|" numbers "|" OTHERS "[\\r\\n]*|" LINES_AND_SPACES

// Words by letter case: capitals and small letters, then capitals alone. `outside` are the
// categories that a word does not contain: the classes are letters less a-z, and letters less A-Z.
#define CASED(outside, suffixes)                                                                   \
    LEAD "[^" outside "a-z]*[^" outside "A-Z]+" suffixes "|" LEAD "[^" outside "a-z]+[^" outside   \
         "A-Z]*" suffixes
#define NO_LETTER          "\\P{L}"
#define NO_LETTER_OR_MARK  "\\p{Z}\\p{C}\\p{N}\\p{P}\\p{S}"
#define MARKED_WORDS       LEAD "[\\p{L}\\p{M}]+(?:" SUFFIXES_ANY_CASE ")?"
#define OTHERS_AND_SLASHES OTHERS "[\\r\\n/]*|" LINES_AND_SPACES

// deepseek-v3: the last class is punctuation and symbols less '~'.
#define DEEPSEEK_3                                                                                 \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"                                        \
    "|(?:[^\\r\\n\\p{L}\\p{P}\\p{S}]|~)?[\\p{L}\\p{M}]+"                                           \
    "| ?[^\\p{L}\\p{M}\\p{N}\\p{Z}\\p{C}~]+[\\r\\n]*|" LINES_AND_SPACES

// Digits in threes, counted from the right, with whatever stands before them.
#define THREES_FROM_RIGHT                                                                          \
    "\\G(?<=\\p{N})\\p{N}{3}"                                                                      \
    "|\\P{N}*+(?:\\p{N}{1,3}?(?=(?:\\p{N}{3})*+(?!\\p{N}))|\\z)"

#define HAN                                                                                        \
    "\\x{3400}-\\x{4DBF}\\x{4E00}-\\x{9FFF}\\x{F900}-\\x{FAFF}\\x{20000}-\\x{2A6DF}"               \
    "\\x{2A700}-\\x{2EBEF}\\x{2F800}-\\x{2FA1F}"

// The letters that have case, as deepseek-llm lists them.
#define CASED_LETTERS                                                                              \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"                 \
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}"         \
    "\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}"                  \
    "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"                       \
    "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                 \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"                 \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}"        \
    "\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}"         \
    "\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}"                 \
    "\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"                  \
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}"                   \
    "\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"        \
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"         \
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"                  \
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"                 \
    "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"               \
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"         \
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"

// U+0800..U+9FA5 less white space, and Hangul.
#define EAST_ASIAN                                                                                 \
    "[\\x{800}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}"                 \
    "\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{9FA5}\\x{AC00}-\\x{D7FF}]+"

static const char *const gpt_2[] = {GPT_2, NULL};
static const char *const single_digits[] = {"\\p{N}", GPT_2, NULL};
static const char *const unnamed[] = {"[\\p{P}$+<=>^~|]+", GPT_2, "\\p{N}+", "[0-9]{3}", NULL};
static const char *const falcon[] = {"[\\p{P}$+<=>^~|`]+", GPT_2, "[0-9]{3}", NULL};
static const char *const chameleon[] = {
    "<sentinel:[0-9]+>",
    "IMGIMG[A-I]{1,4}Z",
    "[\\t\\n]|    |  ",
    "\\p{N}",
    "[\\p{P}!-/:-@\\[-`{-~]",
    GPT_2,
    NULL,
};
static const char *const bloom[] = {BLOOM, NULL};
static const char *const viking[] = {BLOOM, "\\p{N}", NULL};

static const char *const llama_3[] = {WORDS("\\p{N}{1,3}"), NULL};
static const char *const qwen_2[] = {WORDS("\\p{N}"), NULL};
static const char *const minicpm_5[] = {"\\p{N}{1,3}", WORDS("\\p{N}+"), NULL};
static const char *const laguna[] = {LINES, WORDS("\\p{N}"), NULL};
static const char *const lines[] = {LINES, NULL};
static const char *const not_space[] = {"[^" S "]+", NULL};
static const char *const qwen_35[] = {
    SUFFIXES_ANY_CASE "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}"
                      "| ?[^" S "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES_AND_SPACES,
    NULL,
};
static const char *const seed_coder[] = {
    SUFFIXES_ANY_CASE "|" LEAD "\\p{L}+|\\p{N}|" OTHERS "|" LINES_AND_SPACES,
    NULL,
};
static const char *const exaone_moe[] = {
    SUFFIXES_ANY_CASE "|" LEAD "\\p{L}\\p{M}*+(?: ?\\p{L}\\p{M}*+)*+|\\p{N}|" OTHERS
                      "[\\r\\n/]?|" LINES_AND_SPACES,
    NULL,
};

// Only the first white space of a run, or one behind a newline, can have a newline ahead that has
// not been taken.
#define SPACES_OF(n) "|[" S "]{" n "}(?![^" S "])"
static const char *const jais_2[] = {
    SUFFIXES_ANY_CASE "|" LEAD "\\p{L}+|\\p{N}{1,3}|" OTHERS "[\\r\\n]*"
                      "|(?<![\\t\\x0B\\f\\x{85}\\p{Z}])[" S "]*[\\r\\n]+" SPACES_OF("512")
                          SPACES_OF("256") SPACES_OF("128") SPACES_OF("64") SPACES_OF("32")
                              SPACES_OF("16") SPACES_OF("8") SPACES_OF("4") SPACES_OF("1,2") "|[" S
                                                                                             "]",
    NULL,
};

static const char *const gpt_4o[] = {
    CASED(NO_LETTER, "(?:" SUFFIXES_ANY_CASE ")?") "|\\p{N}{1,3}|" OTHERS_AND_SLASHES,
    NULL,
};
static const char *const granite_97m[] = {
    CASED(NO_LETTER_OR_MARK, "(?:" SUFFIXES_ANY_CASE ")?") "|\\p{N}{1,3}|" OTHERS_AND_SLASHES,
    NULL,
};
static const char *const tekken[] = {CASED(NO_LETTER, "") "|\\p{N}|" OTHERS_AND_SLASHES, NULL};
static const char *const tiny_aya[] = {
    THREES_FROM_RIGHT,
    MARKED_WORDS "|\\p{N}{1,3}|" OTHERS_AND_SLASHES,
    NULL,
};
static const char *const youtu[] = {
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" CJK,
    MARKED_WORDS "|\\p{N}|" OTHERS_AND_SLASHES,
    NULL,
};
static const char *const kimi_k2[] = {
    "[" HAN "]+|" LEAD "[^\\P{L}" HAN "]+(?:" SUFFIXES_ANY_CASE ")?|\\p{N}{1,3}|" OTHERS
    "[\\r\\n]*|" LINES_AND_SPACES,
    NULL,
};

static const char *const deepseek_coder[] = {
    "[\\r\\n]", "[" S "]?\\p{L}+", "[" S "]?\\p{P}+", EAST_ASIAN, "\\p{N}", NULL,
};
static const char *const deepseek_llm[] = {
    "[\\r\\n]",
    "[" S "]?[" CASED_LETTERS "]+",
    "[" S "]?[!-/:-~！-／：-～‘-‟、-。]+",
    "(?<![" S "])[" S "]++\\z",
    EAST_ASIAN,
    "\\p{N}+",
    NULL,
};
static const char *const deepseek_3[] = {"\\p{N}{1,3}", CJK, DEEPSEEK_3, NULL};
static const char *const afmoe[] = {
    THREES_FROM_RIGHT,
    "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
    DEEPSEEK_3,
    NULL,
};

// Cuts of no length before every three digits counted from the right. The search goes on one digit
// behind a cut; the next cut is then two digits further.
static const char *const superbpe[] = {
    "\\p{N}+",
    "\\G(?<=[0-9])[0-9]{2}\\K(?=[0-9])|(?=(?:[0-9]{3})++(?![0-9]))",
    NULL,
};

#define LLAMA_3 (IMX_PRE_WHOLE_WORDS | IMX_PRE_ADD_BOS)
#define GEMMA_4 (IMX_PRE_RAW | IMX_PRE_ESCAPE | IMX_PRE_ALWAYS_BOS | IMX_PRE_WHOLE_NEWLINES)

const imx_pretokenizer_row imx_pretokenizer_table[] = {
    {"default", unnamed, 0},
    {"llama-bpe", llama_3, LLAMA_3},
    {"llama3", llama_3, LLAMA_3},
    {"llama-v3", llama_3, LLAMA_3},
    {"falcon3", llama_3, LLAMA_3},
    {"falcon-h1", llama_3, LLAMA_3},
    {"pixtral", llama_3, LLAMA_3},
    {"midm-2.0", llama_3, LLAMA_3},
    {"lfm2", llama_3, LLAMA_3},
    {"jina-v5-nano", llama_3, LLAMA_3},
    {"smaug-bpe", llama_3, 0},
    {"dbrx", llama_3, 0},
    {"glm4", llama_3, IMX_PRE_NO_BOS},
    {"chatglm-bpe", llama_3, IMX_PRE_NO_BOS},
    {"qwen2", qwen_2, 0},
    {"deepseek-r1-qwen", qwen_2, 0},
    {"kormo", qwen_2, 0},
    {"f2llmv2", qwen_2, 0},
    {"megrez", qwen_2, 0},
    {"stablelm2", qwen_2, 0},
    {"hunyuan", qwen_2, 0},
    {"solar-open", qwen_2, 0},
    {"grok-2", qwen_2, 0},
    {"bailingmoe", qwen_2, 0},
    {"bailingmoe2", qwen_2, 0},
    {"llada-moe", qwen_2, 0},
    {"qwen35", qwen_35, 0},
    {"gpt-2", gpt_2, 0},
    {"phi-2", gpt_2, 0},
    {"mpt", gpt_2, 0},
    {"olmo", gpt_2, 0},
    {"jais", gpt_2, 0},
    {"trillion", gpt_2, 0},
    {"granite-docling", gpt_2, 0},
    {"exaone4", gpt_2, 0},
    {"gigachat", gpt_2, 0},
    {"a.x-4.0", gpt_2, 0},
    {"mellum", gpt_2, 0},
    {"modern-bert", gpt_2, 0},
    {"jina-es", gpt_2, 0},
    {"jina-de", gpt_2, 0},
    {"jina-v1-en", gpt_2, 0},
    {"jina-v2-es", gpt_2, 0},
    {"jina-v2-de", gpt_2, 0},
    {"jina-v2-code", gpt_2, 0},
    {"roberta-bpe", gpt_2, 0},
    {"starcoder", single_digits, 0},
    {"refact", single_digits, 0},
    {"command-r", single_digits, 0},
    {"smollm", single_digits, 0},
    {"codeshell", single_digits, 0},
    {"exaone", single_digits, 0},
    {"minerva-7b", single_digits, 0},
    {"mellum2", single_digits, 0},
    {"gpt-4o", gpt_4o, 0},
    {"llama4", gpt_4o, 0},
    {"kanana2", gpt_4o, 0},
    {"talkie", gpt_4o, 0},
    {"minimax-m2", gpt_4o, 0},
    {"granite-embed-multi-97m", granite_97m, IMX_PRE_WHOLE_WORDS},
    {"tekken", tekken, IMX_PRE_WHOLE_WORDS | IMX_PRE_ADD_BOS},
    {"tiny_aya", tiny_aya, 0},
    {"cohere2moe", tiny_aya, 0},
    {"youtu", youtu, IMX_PRE_WHOLE_WORDS},
    {"deepseek-coder", deepseek_coder, 0},
    {"deepseek-llm", deepseek_llm, 0},
    {"deepseek-v3", deepseek_3, 0},
    {"hunyuan-dense", deepseek_3, 0},
    {"joyai-llm", deepseek_3, 0},
    {"afmoe", afmoe, 0},
    {"kimi-k2", kimi_k2, IMX_PRE_NO_MERGES},
    {"gemma4", lines, GEMMA_4},
    {"granite-embed-multi-311m", lines, GEMMA_4},
    {"sarvam-moe", lines, IMX_PRE_RAW | IMX_PRE_ESCAPE},
    {"whitespace", not_space, IMX_PRE_RAW},
    {"falcon", falcon, 0},
    {"chameleon", chameleon, IMX_PRE_ADD_BOS},
    {"bloom", bloom, 0},
    {"poro-chat", bloom, 0},
    {"gpt3-finnish", bloom, 0},
    {"viking", viking, 0},
    {"exaone-moe", exaone_moe, 0},
    {"seed-coder", seed_coder, 0},
    {"superbpe", superbpe, 0},
    {"jais-2", jais_2, 0},
    {"laguna", laguna, 0},
    {"minicpm5", minicpm_5, IMX_PRE_WHOLE_WORDS},
};

const size_t imx_pretokenizer_table_len =
    sizeof imx_pretokenizer_table / sizeof *imx_pretokenizer_table;
