// SPDX-License-Identifier: MIT
//
// Keys and values. A layer keeps one row of keys and one of values for every token, in F16:
//
//     cells × (n_kv_heads × key_length + n_kv_heads × value_length) × 2 bytes
//
// Models with multi-head latent attention (key_length_mla) keep the compressed row, of key_length,
// and no values: these are a part of it. Cells are the context's tokens, rounded up to 256. A layer
// that attends within a sliding window needs those of the window and of the batch under way.
//
// Which layers these are the metadata may say (sliding_window_pattern): an array, or every how
// many layers one sees everything. Where it does not, the architecture decides; so it does whether
// a window in the metadata counts at all, since Mistral's and Phi-3's files have one that clients
// ignore. An architecture that is not in the table keeps everything, which is never too little.
//
// Recurrent layers (Mamba, RWKV, short convolutions, delta attention) keep a state in F32 whatever
// the context. They are those without key heads, but for the families in the second table.
//
// Buffers. With flash attention, and so without a matrix of scores, what is alive at a time are
// some rows for every token of a batch, and the mask of the attention in F16:
//
//     batch × (4 × (max(n_vocab, 4 × n_ff, 4 × n_heads × key_length) + 4 × n_embd) + 2 × cells)
//
// The fours within are the smallest whole numbers with which none of 23 models fell below what
// llama.cpp reserves (docs/inspect.md).

#include "calib/run_memory.h"

#include <string.h>

#include "formats/memory.h"
#include "formats/model_number.h"

enum {
    CELL_ALIGNMENT = 256,
    BATCH = 512,
    DEFAULT_CTX = 4096,
    DEFAULT_INTERVAL = 4, // of layers that attend, between recurrent ones
    F16_BYTES = 2,
    F32_BYTES = 4,
    MAX_LAYERS = 1 << 12,
    MAX_NUMBER = 1 << 20, // of heads, layers' sizes and the like: products of three fit
};

#define MAX_BYTES (UINT64_C(1) << 60)

// Architectures with sliding windows.
typedef struct window_row {
    const char *architecture;
    uint64_t window;    // where the metadata has none; 0: then there is none
    uint64_t period;    // every so many layers one sees everything; 0: none does
    bool is_full_first; // that is the first of the period, else the last
} window_row;

// clang-format off
static const window_row window_table[] = {
    {"afmoe",          0, 4, false},
    {"cohere2",        0, 4, false},
    {"cohere2moe",     0, 4, true},
    {"exaone-moe",   128, 4, false},
    {"exaone4",        0, 4, false},
    {"gemma2",      4096, 2, false},
    {"gemma3",         0, 6, false},
    {"gemma3n",        0, 5, false},
    {"gemma4",         0, 0, false},
    {"gpt-oss",        0, 2, false},
    {"laguna",         0, 4, true},
    {"lfm2",           0, 0, false},
    {"llama4",      8192, 4, false},
    {"mellum",         0, 4, false},
    {"mimo2",          0, 0, false},
    {"olmo2",          0, 4, false},
    {"plamo3",         0, 8, false},
    {"smallthinker",   0, 4, true},
    {"step35",         0, 0, false},
};
// clang-format on

// Which layers of a model with recurrent layers these are.
typedef enum recurrence {
    WITHOUT_KEY_HEADS,
    WITHOUT_KEY_HEADS_AND_FFN,
    ALL_LAYERS,     // they attend as well
    BETWEEN_OTHERS, // all but the last of every full_attention_interval
} recurrence;

static const struct {
    const char *architecture;
    recurrence recurrence;
} recurrence_table[] = {
    {"falcon-h1", ALL_LAYERS},
    {"nemotron_h", WITHOUT_KEY_HEADS_AND_FFN},
    {"nemotron_h_moe", WITHOUT_KEY_HEADS_AND_FFN},
    {"qwen35", BETWEEN_OTHERS},
    {"qwen35moe", BETWEEN_OTHERS},
    {"qwen3next", BETWEEN_OTHERS},
};

// ---- reading -----------------------------------------------------------------------------------

typedef struct reader {
    const imx_gguf *gguf;
    const window_row *windows; // NULL: every layer sees everything
    recurrence recurrence;
    uint64_t n_layers;
    uint64_t n_embd;
    bool is_sane; // no number so far is beyond reason
} reader;

static uint64_t layer_number(reader *r, const char *suffix, uint64_t layer, uint64_t when_absent) {
    const uint64_t value = imx_model_number(r->gguf, suffix, layer, when_absent);
    r->is_sane = r->is_sane && value < MAX_NUMBER;
    return r->is_sane ? value : 0;
}

static uint64_t number(reader *r, const char *suffix, uint64_t when_absent) {
    return layer_number(r, suffix, 0, when_absent);
}

// *total += n × each.
static void add_product(reader *r, uint64_t *total, uint64_t n, uint64_t each) {
    uint64_t product;
    r->is_sane =
        r->is_sane && imx_mul_u64(n, each, &product) && imx_add_u64(*total, product, total);
}

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static reader open_reader(const imx_gguf *gguf) {
    const imx_str name = imx_model_architecture(gguf);
    reader r = {.gguf = gguf, .recurrence = WITHOUT_KEY_HEADS, .is_sane = true};
    for (size_t i = 0; i < sizeof window_table / sizeof *window_table; ++i) {
        if (imx_str_equals(name, window_table[i].architecture)) {
            r.windows = &window_table[i];
        }
    }
    for (size_t i = 0; i < sizeof recurrence_table / sizeof *recurrence_table; ++i) {
        if (imx_str_equals(name, recurrence_table[i].architecture)) {
            r.recurrence = recurrence_table[i].recurrence;
        }
    }
    r.n_layers = number(&r, "block_count", 0);
    r.n_embd = number(&r, "embedding_length", 0);
    return r;
}

// ---- keys and values ---------------------------------------------------------------------------

static bool has_window(reader *r, uint64_t layer) {
    static const char suffix[] = "attention.sliding_window_pattern";
    if (r->windows == NULL) {
        return false;
    }
    const imx_gguf_kv *kv = imx_model_key(r->gguf, suffix);
    if (kv != NULL && kv->type == IMX_GGUF_ARRAY) {
        return layer_number(r, suffix, layer, 0) != 0;
    }
    const uint64_t period = number(r, suffix, r->windows->period);
    if (period == 0) {
        return true;
    }
    return layer % period != (r->windows->is_full_first ? 0 : period - 1);
}

// Numbers in the keys, or values, of one token in a layer.
static uint64_t row_len(reader *r, uint64_t layer, bool is_windowed, const char *suffix,
                        const char *window_suffix) {
    const uint64_t n_heads = number(r, "attention.head_count", 0);
    const uint64_t n_kv_heads = layer_number(r, "attention.head_count_kv", layer,
                                             layer_number(r, "attention.head_count", layer, 0));
    uint64_t head_len = number(r, suffix, n_heads > 0 ? r->n_embd / n_heads : 0);
    if (is_windowed) {
        head_len = number(r, window_suffix, head_len);
    }
    return n_kv_heads * head_len;
}

// 0 for a layer that keeps nothing.
static uint64_t cache_len(reader *r, uint64_t layer, bool is_windowed) {
    const bool is_latent = number(r, "attention.key_length_mla", 0) > 0;
    const uint64_t n_shared = number(r, "attention.shared_kv_layers", 0);
    if (layer + n_shared >= r->n_layers && n_shared > 0) {
        return 0; // it reads those of an earlier layer
    }
    const uint64_t keys =
        row_len(r, layer, is_windowed, "attention.key_length", "attention.key_length_swa");
    return is_latent ? keys
                     : keys + row_len(r, layer, is_windowed, "attention.value_length",
                                      "attention.value_length_swa");
}

// ---- recurrent states --------------------------------------------------------------------------

// Numbers in the state of a recurrent layer; 0 in a model that has none.
static uint64_t state_len(reader *r) {
    const uint64_t wkv_len = number(r, "wkv.head_size", 0);
    const uint64_t n_shortconv = number(r, "shortconv.l_cache", 0);
    const uint64_t kda_len = number(r, "kda.head_dim", 0);
    const uint64_t n_conv = max_u64(number(r, "ssm.conv_kernel", 0), 1) - 1;
    const uint64_t n_inner = number(r, "ssm.inner_size", 0);
    const uint64_t n_state = number(r, "ssm.state_size", 0);
    const uint64_t n_groups = number(r, "ssm.group_count", 0);
    if (wkv_len > 0) {
        return r->n_embd * (number(r, "token_shift_count", 2) + wkv_len);
    }
    if (n_shortconv > 0) {
        return r->n_embd * (n_shortconv - 1);
    }
    if (kda_len > 0) {
        return number(r, "attention.head_count", 0) * kda_len * (3 * n_conv + kda_len);
    }
    return n_conv * (n_inner + 2 * n_groups * n_state) + n_state * n_inner;
}

static bool is_recurrent(reader *r, uint64_t layer) {
    const uint64_t interval = number(r, "full_attention_interval", DEFAULT_INTERVAL);
    switch (r->recurrence) {
    case ALL_LAYERS:
        return true;
    case BETWEEN_OTHERS:
        return interval == 0 || (layer + 1) % interval != 0;
    case WITHOUT_KEY_HEADS_AND_FFN:
        return cache_len(r, layer, false) == 0 &&
               layer_number(r, "feed_forward_length", layer, 0) == 0;
    default:
        return cache_len(r, layer, false) == 0;
    }
}

// ---- sums --------------------------------------------------------------------------------------

static void add_layer(reader *r, uint64_t layer, imx_run_memory *memory) {
    const bool is_windowed = memory->window > 0 && has_window(r, layer);
    const uint64_t full_cells = imx_align_up(memory->n_ctx, CELL_ALIGNMENT);
    const uint64_t cells =
        is_windowed ? imx_align_up(min_u64(full_cells, memory->window + BATCH), CELL_ALIGNMENT)
                    : full_cells;
    const uint64_t n_state = state_len(r);
    const bool has_state = n_state > 0 && is_recurrent(r, layer);
    const uint64_t n_row =
        has_state && r->recurrence == BETWEEN_OTHERS ? 0 : cache_len(r, layer, is_windowed);
    if (has_state) {
        ++memory->n_state_layers;
        add_product(r, &memory->cache_bytes, n_state, F32_BYTES);
    }
    if (n_row > 0) {
        ++memory->n_cache_layers;
        memory->n_window_layers += is_windowed;
        add_product(r, &memory->cache_bytes, cells * F16_BYTES, n_row);
    }
}

static uint64_t n_vocab(const imx_gguf *gguf) {
    const imx_gguf_tensor *embedding = imx_gguf_find_tensor(gguf, "token_embd.weight");
    return embedding != NULL ? imx_gguf_tensor_rows(embedding) : 0;
}

static void estimate_compute(reader *r, imx_run_memory *memory) {
    const uint64_t full_cells = imx_align_up(memory->n_ctx, CELL_ALIGNMENT);
    uint64_t n_ff = number(r, "expert_used_count", 0) * number(r, "expert_feed_forward_length", 0);
    for (uint64_t layer = 0; layer < r->n_layers; ++layer) {
        n_ff = max_u64(n_ff, layer_number(r, "feed_forward_length", layer, 0));
    }
    const uint64_t n_heads = number(r, "attention.head_count", 0);
    const uint64_t n_query = n_heads * number(r, "attention.key_length", 0);
    const uint64_t widest = max_u64(n_vocab(r->gguf), 4 * max_u64(n_ff, n_query));
    add_product(r, &memory->compute_bytes, BATCH * F32_BYTES, 4 * r->n_embd);
    add_product(r, &memory->compute_bytes, BATCH * F32_BYTES, widest);
    if (memory->n_cache_layers > 0) {
        add_product(r, &memory->compute_bytes, BATCH * F16_BYTES, full_cells);
    }
    if (memory->n_window_layers > 0) {
        add_product(r, &memory->compute_bytes, BATCH * F16_BYTES,
                    min_u64(full_cells, memory->window + BATCH));
    }
}

imx_status imx_run_memory_measure(imx_run_memory *memory, const imx_gguf *gguf, uint64_t n_ctx,
                                  imx_error *err) {
    reader r = open_reader(gguf);
    const uint64_t own_ctx = imx_model_number(gguf, "context_length", 0, DEFAULT_CTX);
    const bool has_cache = number(&r, "attention.causal", 1) != 0;
    *memory = (imx_run_memory){.n_ctx = n_ctx > 0 ? n_ctx : own_ctx};
    r.is_sane = r.is_sane && r.n_layers <= MAX_LAYERS && memory->n_ctx <= UINT32_MAX;
    if (r.windows != NULL) {
        memory->window = number(&r, "attention.sliding_window", r.windows->window);
    }
    for (uint64_t layer = 0; has_cache && r.is_sane && layer < r.n_layers; ++layer) {
        add_layer(&r, layer, memory);
    }
    if (r.is_sane) {
        estimate_compute(&r, memory);
    }
    r.is_sane = r.is_sane && memory->cache_bytes < MAX_BYTES && memory->compute_bytes < MAX_BYTES;
    return r.is_sane ? IMX_OK
                     : imx_fail(err, IMX_ERR_FORMAT,
                                "%s: the metadata holds numbers that no model has (layers, heads, "
                                "context); the file is damaged",
                                gguf->path);
}
