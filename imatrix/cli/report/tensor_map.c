// SPDX-License-Identifier: MIT
//
// Rows and columns are numbered by sorting the tensors twice, by kind and by layer, and counting
// what changes. Nothing is indexed by a number that a name contains, so a "blk.4294967295." costs
// one column like any other.

#include "imatrix/cli/report/tensor_map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/report/html.h"

enum {
    KIND_BYTES = 64,
    ROW_HEIGHT = 24,  // pixels
    GAP = 24,         // below the rows of layers, for their numbers
    LETTER_WIDTH = 7, // of the kinds' names
    MAX_LETTERS = 20, // of a kind's name; the rest shows on hover
    MAX_LAYER_LABELS = 10,
    MAX_TEXT_LAYERS = 6,  // so many columns leave room for text on a telephone,
    MAX_BROAD_LAYERS = 12 // so many elsewhere
};

// In the order of the forward pass; others follow by name.
static const char *const known_kinds[] = {
    "attn_q",        "attn_q_a",     "attn_q_b",      "attn_k",         "attn_kv_a_mqa",
    "attn_kv_b",     "attn_k_b",     "attn_v_b",      "attn_v",         "attn_qkv",
    "attn_gate",     "attn_output",  "ssm_in",        "ssm_x",          "ssm_dt",
    "ssm_out",       "ffn_gate_inp", "ffn_gate",      "ffn_up",         "ffn_down",
    "ffn_gate_exps", "ffn_up_exps",  "ffn_down_exps", "ffn_gate_shexp", "ffn_up_shexp",
    "ffn_down_shexp"};

enum { N_KNOWN_KINDS = sizeof known_kinds / sizeof *known_kinds };

typedef struct tensor_place {
    const tensor_cell *cell;
    char kind[KIND_BYTES]; // "attn_q"
    long layer;            // -1: none
    size_t row, column;
} tensor_place;

typedef struct tensor_map {
    FILE *page;
    tensor_place *places; // (n)
    size_t n, n_rows, n_columns;
    size_t n_layer_rows; // the others belong to no layer
    const field_row *hints;
} tensor_map;

// ---- places ------------------------------------------------------------------------------------

// Where the layer's number begins in "blk.12.attn_q.weight", or NULL.
static const char *find_layer(const char *name) {
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        const size_t n = strspn(dot + 1, "0123456789");
        if (n > 0 && dot[1 + n] == '.') {
            return dot + 1;
        }
    }
    return NULL;
}

// Cuts `ending` off, if it is there.
static void cut_end(char *text, const char *ending) {
    const size_t n = strlen(text);
    const size_t n_ending = strlen(ending);
    if (n > n_ending && strcmp(text + n - n_ending, ending) == 0) {
        text[n - n_ending] = '\0';
    }
}

// "v.blk.3.attn_q.weight" lies in layer 3 and is of kind "v.attn_q".
static tensor_place find_place(const tensor_cell *cell) {
    const char *name = field_text(cell->tensor, "name");
    const char *layer = find_layer(name);
    tensor_place place = {.cell = cell, .layer = -1};
    if (layer == NULL) {
        snprintf(place.kind, sizeof place.kind, "%s", name);
    } else {
        char *rest;
        place.layer = strtol(layer, &rest, 10);
        const int n = strncmp(name, "blk.", 4) == 0 ? 0 : (int)(layer - name);
        snprintf(place.kind, sizeof place.kind, "%.*s%s", n, name, rest + 1);
    }
    cut_end(place.kind, ".weight");
    return place;
}

static size_t rank_kind(const tensor_place *place) {
    size_t rank = 0;
    while (rank < N_KNOWN_KINDS && strcmp(known_kinds[rank], place->kind) != 0) {
        ++rank;
    }
    return place->layer < 0 ? N_KNOWN_KINDS + 1 : rank;
}

static int compare_kinds(const void *a, const void *b) {
    const tensor_place *x = a;
    const tensor_place *y = b;
    const size_t rank_x = rank_kind(x);
    const size_t rank_y = rank_kind(y);
    return rank_x != rank_y ? (rank_x > rank_y) - (rank_x < rank_y) : strcmp(x->kind, y->kind);
}

static int compare_layers(const void *a, const void *b) {
    const tensor_place *x = a;
    const tensor_place *y = b;
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : (x->row > y->row) - (x->row < y->row);
}

static void number_rows(tensor_map *map) {
    qsort(map->places, map->n, sizeof *map->places, compare_kinds);
    for (size_t i = 0; i < map->n; ++i) {
        const bool is_new = i == 0 || compare_kinds(&map->places[i - 1], &map->places[i]) != 0;
        map->n_rows += is_new;
        map->n_layer_rows += is_new && map->places[i].layer >= 0;
        map->places[i].row = map->n_rows - 1;
    }
}

static void number_columns(tensor_map *map) {
    long last = -1;
    qsort(map->places, map->n, sizeof *map->places, compare_layers);
    for (size_t i = 0; i < map->n; ++i) {
        map->n_columns += map->places[i].layer != last;
        last = map->places[i].layer;
        map->places[i].column = map->n_columns > 0 ? map->n_columns - 1 : 0;
    }
}

// ---- picture -----------------------------------------------------------------------------------

static double row_top(const tensor_map *map, size_t row) {
    const bool is_below = row >= map->n_layer_rows && map->n_layer_rows > 0;
    return (double)(row * ROW_HEIGHT + (is_below ? GAP : 0));
}

// Cuts a name that is too long for the margin, between two characters.
static void shorten(char text[KIND_BYTES]) {
    static const char ellipsis[] = "…";
    size_t n = MAX_LETTERS - 1;
    if (strlen(text) <= MAX_LETTERS) {
        return;
    }
    while (n > 0 && (text[n] & 0xC0) == 0x80) {
        --n;
    }
    memcpy(text + n, ellipsis, sizeof ellipsis);
}

static void draw_cell(const tensor_map *map, const tensor_place *place) {
    const bool is_whole = place->layer < 0;
    const double width = is_whole ? 100.0 : 100.0 / (double)map->n_columns;
    const double x = is_whole ? 0.0 : width * (double)place->column;
    const double y = row_top(map, place->row);
    html_print(map->page, "<g class=\"cell s%zu\"><title>", place->cell->shade);
    field_print_hint(map->page, map->hints, place->cell->tensor);
    html_print(map->page, "</title><rect x=\"%.3f%%\" y=\"%.0f\" width=\"%.3f%%\" height=\"%d\"/>",
               x, y, width, ROW_HEIGHT);
    if (is_whole || map->n_columns <= MAX_BROAD_LAYERS) {
        html_print(map->page, "<text class=\"%s\" x=\"%.3f%%\" y=\"%.0f\">%s</text>",
                   is_whole || map->n_columns <= MAX_TEXT_LAYERS ? "" : "broad", x + width / 2,
                   y + 16, place->cell->text);
    }
    html_print(map->page, "</g>\n");
}

// Names the rows; the places must be in their order.
static void draw_kinds(const tensor_map *map) {
    for (size_t i = 0; i < map->n; ++i) {
        const tensor_place *place = &map->places[i];
        char text[KIND_BYTES];
        if (i > 0 && place->row == map->places[i - 1].row) {
            continue;
        }
        memcpy(text, place->kind, sizeof text);
        shorten(text);
        html_print(map->page, "<text class=\"kind end\" x=\"-8\" y=\"%.0f\">%s</text>\n",
                   row_top(map, place->row) + 16, text);
    }
}

// Numbers the columns; the places must be in their order.
static void draw_layers(const tensor_map *map) {
    const size_t stride = (map->n_columns + MAX_LAYER_LABELS - 1) / MAX_LAYER_LABELS;
    const double y = (double)(map->n_layer_rows * ROW_HEIGHT + 15);
    size_t n = 0;
    for (size_t i = 0; i < map->n; ++i) {
        const tensor_place *place = &map->places[i];
        if (place->layer < 0 || place->column != n) {
            continue;
        }
        if (n++ % stride == 0) {
            html_print(map->page, "<text class=\"tick\" x=\"%.3f%%\" y=\"%.0f\">%.0f</text>",
                       100.0 * ((double)place->column + 0.5) / (double)map->n_columns, y,
                       (double)place->layer);
        }
    }
    if (n > 0) {
        html_print(map->page, "<text class=\"axis end\" x=\"-8\" y=\"%.0f\">layer</text>\n", y);
    }
}

static size_t longest_kind(const tensor_map *map) {
    size_t longest = sizeof "layer" - 1;
    for (size_t i = 0; i < map->n; ++i) {
        const size_t n = strlen(map->places[i].kind);
        longest = n > longest ? n : longest;
    }
    return longest < MAX_LETTERS ? longest : MAX_LETTERS;
}

static void draw_map(tensor_map *map, const char *label) {
    number_rows(map);
    html_print(map->page,
               "<svg class=\"map\" role=\"img\" aria-label=\"%s\" height=\"%.0f\" "
               "style=\"--gutter:%zupx\">\n",
               label, row_top(map, map->n_rows), longest_kind(map) * LETTER_WIDTH + 12);
    draw_kinds(map);
    number_columns(map);
    draw_layers(map);
    for (size_t i = 0; i < map->n; ++i) {
        draw_cell(map, &map->places[i]);
    }
    html_print(map->page, "</svg>\n");
}

void tensor_map_draw(FILE *page, const char *label, const tensor_cell *cells, size_t n,
                     const field_row *hints) {
    tensor_map map = {.page = page, .n = n, .hints = hints};
    map.places = calloc(n + 1, sizeof *map.places);
    if (map.places == NULL) {
        return; // the table has it all
    }
    for (size_t i = 0; i < n; ++i) {
        map.places[i] = find_place(&cells[i]);
    }
    draw_map(&map, label);
    free(map.places);
}
