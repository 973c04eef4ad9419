// SPDX-License-Identifier: MIT
//
// Weights are unpacked once per block of tokens and then multiplied with all of them.
//
// A product is cut into tiles of TILE_ROWS tokens × PANEL outputs, each over the whole inner
// dimension, and the tiles are handed to threads. A tile's shape depends on the product only, so
// its bits do too.
//
// The kernel copies what it multiplies into the order of its registers, and a tile small enough to
// share out amortises that badly: of weights as they lie, rows of (n_out, n_in), 256 × 256 tiles
// reach two thirds of the processor's peak and 1024 × 512 ones four fifths. Unpacking therefore
// transposes as well, which costs nothing beside decoding: PANEL outputs form a panel (n_in, PANEL)
// in one piece, whose rows are taken over as they are. Tiles then reach more than four fifths at
// half the size. PANEL is a multiple of 48, the register block of the AVX-512 kernel, and of the
// 16 and 24 of others.
//
// What a value is stored as and what multiplies it is the operands' (operands.h).

#include "calib/forward/panels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/split.h"
#include "formats/memory.h"

enum {
    TILE_ROWS = 256,
    PANEL = 384, // a multiple of IMX_STRIP and of every group
};

// Rows of a panel: the inputs, once for every product.
static size_t depth_of(const imx_operand_kind *kind, size_t n_in, size_t n_products) {
    return (size_t)imx_align_up(n_in, kind->depth) * n_products;
}

uint64_t imx_panels_bytes(size_t n_in, size_t n_out, imx_operands operands) {
    const imx_operand_kind *kind = imx_operand_kind_of(operands);
    return (uint64_t)depth_of(kind, n_in, kind->max_products) * imx_align_up(n_out, kind->group) *
           kind->value_bytes;
}

uint64_t imx_panels_scratch_bytes(size_t n_in, size_t n_rows, imx_operands operands) {
    const imx_operand_kind *kind = imx_operand_kind_of(operands);
    const size_t row_bytes = depth_of(kind, n_in, kind->max_products) * kind->value_bytes;
    return kind->prepare != NULL ? (uint64_t)n_rows * row_bytes : 0;
}

// As realloc, without what was there.
static imx_status replace_if_small(void **values, size_t *capacity, uint64_t n_bytes,
                                   imx_error *err) {
    if (n_bytes <= *capacity) {
        return IMX_OK;
    }
    free(*values);
    *capacity = 0;
    IMX_TRY(imx_alloc_aligned(values, (size_t)n_bytes, 1, err));
    *capacity = (size_t)n_bytes;
    return IMX_OK;
}

imx_status imx_panels_reserve(imx_panels *panels, size_t n_in, size_t n_out, imx_error *err) {
    const uint64_t n_bytes = imx_panels_bytes(n_in, n_out, panels->operands);
    IMX_TRY(replace_if_small(&panels->values, &panels->capacity, n_bytes, err));
    panels->n_in = n_in;
    panels->n_out = n_out;
    return IMX_OK;
}

void imx_panels_free(imx_panels *panels) {
    free(panels->values);
    *panels = (imx_panels){0};
}

static void *panel_at(const imx_panels *panels, size_t first) {
    const imx_operand_kind *kind = imx_operand_kind_of(panels->operands);
    const size_t depth = depth_of(kind, panels->n_in, panels->n_products);
    return (uint8_t *)panels->values + first * depth * kind->value_bytes;
}

// Stored columns of the panel that begins with output `first`.
static size_t panel_width(const imx_panels *panels, size_t first) {
    const imx_operand_kind *kind = imx_operand_kind_of(panels->operands);
    return (size_t)imx_align_up(imx_piece_len(panels->n_out, first, PANEL), kind->group);
}

// ---- unpacking -------------------------------------------------------------------------------

// What is unpacked.
typedef struct source {
    const imx_type_traits *traits;
    const uint8_t *rows;
    size_t row_bytes;
    size_t n_rows;
    size_t n_cols;
    float scale;
} source;

// Columns `column` up to column + n of row `row`, times the scale; zeros beyond the matrix.
static void decode_row(const source *from, size_t row, size_t column, size_t n, float *out) {
    const size_t there = row < from->n_rows ? imx_piece_len(from->n_cols, column, n) : 0;
    const size_t at = column / from->traits->block_len * from->traits->block_bytes;
    if (there > 0) {
        from->traits->decode(from->rows + row * from->row_bytes + at, out, there);
    }
    for (size_t i = 0; i < there && from->scale != 1.0f; ++i) {
        out[i] *= from->scale;
    }
    memset(out + there, 0, (n - there) * sizeof *out);
}

static void unpack_strip(const imx_panels *panels, const source *from, size_t first) {
    const imx_operand_kind *kind = imx_operand_kind_of(panels->operands);
    const size_t panel = first / PANEL * PANEL;
    float piece[IMX_STRIP][IMX_PIECE];
    imx_strip strip = {
        .panel = panel_at(panels, panel),
        .width = panel_width(panels, panel),
        .n_in = depth_of(kind, panels->n_in, 1),
        .n_products = panels->n_products,
        .column = first - panel,
    };
    for (; strip.input < strip.n_in; strip.input += IMX_PIECE) {
        const size_t n = imx_piece_len(strip.n_in, strip.input, IMX_PIECE);
        for (size_t i = 0; i < IMX_STRIP; ++i) {
            decode_row(from, first + i, strip.input, n, piece[i]);
        }
        kind->store(&strip, piece, n);
    }
}

void imx_panels_unpack(imx_panels *panels, uint32_t type, const uint8_t *rows, float scale,
                       int n_threads) {
    const imx_operand_kind *kind = imx_operand_kind_of(panels->operands);
    const bool is_bf16 = type == IMX_TYPE_BF16 && scale == 1.0f;
    const size_t n_stored = (size_t)imx_align_up(panels->n_out, kind->group);
    const source from = {
        .traits = imx_type_traits_of(type),
        .rows = rows,
        .row_bytes = (size_t)imx_type_row_bytes(type, panels->n_in),
        .n_rows = panels->n_out,
        .n_cols = panels->n_in,
        .scale = scale,
    };
    panels->n_products = imx_operand_products(panels->operands, is_bf16);
#pragma omp parallel for num_threads(n_threads)
    for (size_t i = 0; i < n_stored; i += IMX_STRIP) {
        unpack_strip(panels, &from, i);
    }
}

// ---- products --------------------------------------------------------------------------------

// The rows of x as they are multiplied.
typedef struct prepared_rows {
    const void *values; // (n_rows, stride)
    size_t stride;
    imx_panel_rows own; // to be freed
} prepared_rows;

static imx_status prepare_rows(const imx_product *p, int n_threads, prepared_rows *out) {
    const imx_panels *panels = p->panels;
    const imx_operand_kind *kind = imx_operand_kind_of(panels->operands);
    *out = (prepared_rows){.values = p->x, .stride = p->x_stride};
    if (kind->prepare == NULL) {
        return IMX_OK;
    }
    imx_panel_rows *room = panels->rows != NULL ? panels->rows : &out->own;
    const size_t depth = depth_of(kind, panels->n_in, panels->n_products);
    const size_t row_bytes = depth * kind->value_bytes;
    IMX_TRY(replace_if_small(&room->values, &room->capacity, p->n_rows * row_bytes, NULL));
    uint8_t *rows = room->values;
    out->values = rows;
    out->stride = depth;
#pragma omp parallel for num_threads(n_threads)
    for (size_t i = 0; i < p->n_rows; ++i) {
        kind->prepare(p->x + i * p->x_stride, panels->n_in, panels->n_products,
                      rows + i * row_bytes);
    }
    return IMX_OK;
}

static void add_bias(const float *bias, const imx_tile *tile) {
    for (size_t i = 0; i < tile->m; ++i) {
        for (size_t j = 0; j < tile->n; ++j) {
            tile->c[i * tile->c_stride + j] += bias[j];
        }
    }
}

// The tile of the rows from `row` and the outputs from `out`.
static imx_status run_tile(const imx_product *p, const prepared_rows *x, size_t row, size_t out) {
    const imx_operand_kind *kind = imx_operand_kind_of(p->panels->operands);
    const imx_tile tile = {
        .m = imx_piece_len(p->n_rows, row, TILE_ROWS),
        .n = imx_piece_len(p->panels->n_out, out, PANEL),
        .k = depth_of(kind, p->panels->n_in, p->panels->n_products),
        .a = (const uint8_t *)x->values + row * x->stride * kind->value_bytes,
        .a_stride = x->stride,
        .b = panel_at(p->panels, out),
        .b_width = panel_width(p->panels, out),
        .c = p->y + row * p->y_stride + out,
        .c_stride = p->y_stride,
    };
    IMX_TRY(kind->multiply(&tile));
    if (p->bias != NULL) {
        add_bias(p->bias + out, &tile);
    }
    return IMX_OK;
}

imx_status imx_product_run(const imx_product *product, int n_threads) {
    bool failed = false;
    prepared_rows x;
    IMX_TRY(prepare_rows(product, n_threads, &x));
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t out = 0; out < product->panels->n_out; out += PANEL) {
        for (size_t row = 0; row < product->n_rows; row += TILE_ROWS) {
            failed = run_tile(product, &x, row, out) != IMX_OK || failed;
        }
    }
    free(x.own.values);
    return failed ? IMX_ERR_MEMORY : IMX_OK;
}
