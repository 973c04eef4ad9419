// SPDX-License-Identifier: MIT
//
// A string table: the strings lie in one buffer, a slot of the open-addressed hash table holds the
// id and half of the hash, so that a probe reads a string only when it is almost certainly the one.

#include "calib/tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "formats/memory.h"

enum { MIN_SLOTS = 64 };

static const uint64_t HASH_HALF = UINT64_C(0xffffffff) << 32;

// The slot where the string is, or the free one where it would go.
static size_t find_piece_slot(const imx_pieces *pieces, const char *text, size_t len,
                              uint64_t hash) {
    const size_t mask = pieces->n_slots - 1;
    size_t i = (size_t)hash & mask;
    while (pieces->slots[i] != 0) {
        if (((pieces->slots[i] ^ hash) & HASH_HALF) == 0) {
            const imx_str piece = imx_pieces_get(pieces, (uint32_t)pieces->slots[i] - 1);
            if (piece.len == len && memcmp(piece.data, text, len) == 0) {
                break;
            }
        }
        i = (i + 1) & mask;
    }
    return i;
}

static uint64_t hash_piece(const char *text, size_t len) {
    return XXH3_64bits(text, len);
}

// Doubles the table when it is half full.
static imx_status grow_slots(imx_pieces *pieces, imx_error *err) {
    if (pieces->n < pieces->n_slots / 2) {
        return IMX_OK;
    }
    const size_t n_slots = pieces->n_slots > 0 ? 2 * pieces->n_slots : MIN_SLOTS;
    uint64_t *slots;
    IMX_TRY(imx_alloc_zeroed(&slots, n_slots, sizeof *slots, err));
    free(pieces->slots);
    pieces->slots = slots;
    pieces->n_slots = n_slots;
    for (uint32_t id = 0; id < pieces->n; id++) {
        const imx_str piece = imx_pieces_get(pieces, id);
        if (piece.len > 0) {
            const uint64_t hash = hash_piece(piece.data, piece.len);
            slots[find_piece_slot(pieces, piece.data, piece.len, hash)] =
                (hash & HASH_HALF) | (id + 1);
        }
    }
    return IMX_OK;
}

static imx_status append_piece(imx_pieces *pieces, imx_str piece, imx_error *err) {
    IMX_TRY(imx_grow(&pieces->spans, &pieces->spans_capacity, pieces->n + 1, sizeof *pieces->spans,
                     err));
    const size_t n_bytes = pieces->n_bytes + piece.len;
    IMX_TRY(imx_grow(&pieces->bytes, &pieces->bytes_capacity, n_bytes + 1, 1, err)); // never NULL
    if (piece.len > 0) {
        memcpy(pieces->bytes + pieces->n_bytes, piece.data, piece.len);
    }
    pieces->spans[pieces->n++] = (imx_piece_span){.offset = pieces->n_bytes, .len = piece.len};
    pieces->n_bytes = n_bytes;
    if (piece.len > pieces->max_len) {
        pieces->max_len = piece.len;
    }
    return IMX_OK;
}

imx_status imx_pieces_add(imx_pieces *pieces, imx_str piece, uint32_t *id, imx_error *err) {
    if (pieces->n >= INT32_MAX) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED, "a vocabulary of more than 2^31 strings");
    }
    IMX_TRY(grow_slots(pieces, err));
    *id = (uint32_t)pieces->n;
    if (piece.len == 0) {
        return append_piece(pieces, piece, err);
    }
    const uint64_t hash = hash_piece(piece.data, piece.len);
    uint64_t *slot = &pieces->slots[find_piece_slot(pieces, piece.data, piece.len, hash)];
    if (*slot != 0) {
        *id = (uint32_t)*slot - 1;
        return IMX_OK;
    }
    IMX_TRY(append_piece(pieces, piece, err));
    *slot = (hash & HASH_HALF) | (*id + 1);
    return IMX_OK;
}

uint32_t imx_pieces_find(const imx_pieces *pieces, const char *text, size_t len) {
    if (len == 0 || len > pieces->max_len) {
        return IMX_NO_PIECE;
    }
    const uint64_t slot = pieces->slots[find_piece_slot(pieces, text, len, hash_piece(text, len))];
    return (uint32_t)slot - 1; // a free slot, 0, wraps to IMX_NO_PIECE
}

imx_str imx_pieces_get(const imx_pieces *pieces, uint32_t id) {
    const imx_piece_span span = pieces->spans[id];
    return (imx_str){.data = pieces->bytes + span.offset, .len = span.len};
}

void imx_pieces_free(imx_pieces *pieces) {
    free(pieces->bytes);
    free(pieces->spans);
    free(pieces->slots);
    *pieces = (imx_pieces){0};
}
