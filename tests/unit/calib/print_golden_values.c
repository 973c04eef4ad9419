// SPDX-License-Identifier: MIT
//
// Prints what another implementation has made of the golden models as golden_values.inc. FOLDER
// has a trace NAME.ref.gguf of each, in the layout of calib/forward/trace.h.
//
//     print_golden_values FOLDER | clang-format --assume-filename=x.c > golden_values.inc

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/trace.h"
#include "golden_models.h"
#include "golden_values.h"

enum { MAX_LIST = 1 << 13 };

// Products whose inputs have the same sums and counts.
typedef struct group {
    char stems[MAX_LIST];
    char sums[MAX_LIST];
    char counts[MAX_LIST]; // empty where all tokens count everywhere
    int first;
} group;

static void append(char list[MAX_LIST], int n_digits, double value) {
    const size_t len = strlen(list);
    snprintf(list + len, MAX_LIST - len, "%s%.*g", len > 0 ? ", " : "", n_digits, value);
}

// Takes "blk.LAYER.STEM.weight" or "STEM.weight" apart; the layer is -1 where there is none.
static int split_name(const char *name, char stem[GOLDEN_MAX_WORD]) {
    int layer = -1, n_before = 0;
    sscanf(name, "blk.%d.%n", &layer, &n_before);
    snprintf(stem, GOLDEN_MAX_WORD, "%s", name + n_before);
    *strrchr(stem, '.') = '\0';
    return layer;
}

static const imx_imatrix_entry *find_product(const imx_trace *trace, const char *stem, int layer) {
    char name[2 * GOLDEN_MAX_WORD];
    golden_name(name, sizeof name, layer, stem, ".weight");
    return imx_imatrix_find(trace->products, name);
}

static void add_layer(group *g, const imx_imatrix_entry *entry, size_t n_tokens, bool *has_counts) {
    for (size_t mat = 0; mat < entry->n_mats; ++mat) {
        double sum = 0;
        for (size_t j = 0; j < entry->n_cols; ++j) {
            sum += entry->in_sum2[mat * (size_t)entry->n_cols + j];
        }
        append(g->sums, 5, sum);
        append(g->counts, 9, entry->counts[mat]);
        *has_counts = *has_counts || entry->counts[mat] != (double)n_tokens;
    }
}

// All layers that have the product, of which `first` is the first.
static group describe(const imx_trace *trace, const char *stem, int first) {
    group g = {.first = first};
    bool has_counts = false;
    const imx_imatrix_entry *entry;
    for (int layer = first; (entry = find_product(trace, stem, layer)) != NULL; ++layer) {
        add_layer(&g, entry, trace->n_tokens, &has_counts);
        if (first < 0) {
            break;
        }
    }
    if (!has_counts) {
        g.counts[0] = '\0';
    }
    return g;
}

// Adds the stem to the group that is like `g`, or `g` to the groups; returns their number.
static size_t add_to_groups(group *groups, size_t n, const group *g, const char *stem) {
    size_t i = 0;
    while (i < n && (groups[i].first != g->first || strcmp(groups[i].sums, g->sums) != 0 ||
                     strcmp(groups[i].counts, g->counts) != 0)) {
        ++i;
    }
    if (i == n) {
        assert(n + 1 < GOLDEN_MAX_PRODUCTS);
        groups[n++] = *g;
    }
    const size_t len = strlen(groups[i].stems);
    snprintf(groups[i].stems + len, MAX_LIST - len, "%s%s", len > 0 ? " " : "", stem);
    return n;
}

static void print_group(const group *g) {
    printf("{\"%s\", %d, SUMS(%s)", g->stems, g->first, g->sums);
    if (g->counts[0] != '\0') {
        printf(", COUNTS(%s)", g->counts);
    }
    printf("}");
}

static void print_products(const imx_trace *trace) {
    group *groups = calloc(GOLDEN_MAX_PRODUCTS, sizeof *groups);
    size_t n_groups = 0;
    char stem[GOLDEN_MAX_WORD];
    for (size_t i = 0; groups != NULL && i < trace->products->n_entries; ++i) {
        const int layer = split_name(trace->products->entries[i].name, stem);
        if (layer < 0 || find_product(trace, stem, layer - 1) == NULL) {
            const group g = describe(trace, stem, layer);
            n_groups = add_to_groups(groups, n_groups, &g, stem);
        }
    }
    for (size_t i = 0; i < n_groups; ++i) {
        printf("%s", i > 0 ? ", " : "{");
        print_group(&groups[i]);
    }
    printf("}");
    free(groups);
}

static void print_logits(const imx_trace *trace) {
    double sum2 = 0;
    for (size_t i = 0; i < trace->n_tokens * trace->n_vocab; ++i) {
        sum2 += (double)trace->logits[i] * (double)trace->logits[i];
    }
    printf("%.7g, {", sum2);
    for (size_t i = 0; i < GOLDEN_N_TOKENS; ++i) {
        for (size_t j = 0; j < GOLDEN_N_LOGITS; ++j) {
            printf("%s%.6g",
                   j > 0   ? ", "
                   : i > 0 ? "}, {"
                           : "{",
                   (double)*golden_logit(trace, i, j));
        }
    }
    printf("}}, ");
}

static imx_status print_model(const char *folder, const char *name, imx_error *err) {
    char path[512];
    imx_trace trace;
    snprintf(path, sizeof path, "%s/%s.ref.gguf", folder, name);
    const imx_status status = imx_trace_read(&trace, path, err);
    if (status == IMX_OK) {
        printf("{\"%s\", ", name);
        print_logits(&trace);
        print_products(&trace);
        printf("},\n");
    }
    imx_trace_free(&trace);
    return status;
}

int main(int n_args, char **args) {
    imx_error err;
    if (n_args != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", args[0]);
        return 2;
    }
    printf("// SPDX-License-Identifier: MIT\n//\n// Printed by print_golden_values.\n\n"
           "static const golden_values golden_recorded[] = {\n");
    for (size_t i = 0; i < GOLDEN_N_MODELS; ++i) {
        if (print_model(args[1], golden_models[i].name, &err) != IMX_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    }
    printf("};\n");
    return 0;
}
