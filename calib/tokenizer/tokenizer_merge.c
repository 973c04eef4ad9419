// SPDX-License-Identifier: MIT
//
// Both tokenizers are one greedy algorithm. A text starts as a chain of symbols (characters or
// bytes); again and again the pair of neighbours with the lowest rank becomes one symbol, the
// leftmost where ranks are equal, until no pair may merge. SentencePiece and BPE differ only in
// which pairs may merge and in their ranks (`find`).
//
// A heap holds the candidate pairs as (rank, left symbol). A merge changes its two neighbours:
// their new pairs are pushed, the old ones stay in the heap and are recognised when they come up.
// Symbols only grow, so the symbol at `left` and its right neighbour span as many bytes as the
// candidate did only while both are what they were. Each of n symbols can be merged away once and
// each merge pushes at most two candidates: O(n log n) for any text.

#include "calib/tokenizer/tokenizer_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "formats/memory.h"

struct imx_merge_candidate {
    uint64_t order; // rank << 32 | index of the left symbol
    uint32_t len;   // of both symbols
    uint32_t piece; // what they become
};

imx_status imx_merger_add(imx_merger *merger, const char *text, size_t len, uint32_t piece,
                          imx_error *err) {
    const size_t n = merger->n_symbols;
    assert(len >= 1 && len <= UINT32_MAX && n < IMX_NO_SYMBOL);
    IMX_TRY(
        imx_grow(&merger->symbols, &merger->symbols_capacity, n + 1, sizeof *merger->symbols, err));
    merger->symbols[n] = (imx_symbol){
        .text = text,
        .len = (uint32_t)len,
        .piece = piece,
        .prev = n > 0 ? (uint32_t)n - 1 : IMX_NO_SYMBOL,
        .next = IMX_NO_SYMBOL,
    };
    if (n > 0) {
        merger->symbols[n - 1].next = (uint32_t)n;
    }
    merger->n_symbols++;
    return IMX_OK;
}

static imx_status heap_push(imx_merger *merger, imx_merge_candidate candidate, imx_error *err) {
    IMX_TRY(imx_grow(&merger->heap, &merger->heap_capacity, merger->n_heap + 1,
                     sizeof *merger->heap, err));
    size_t i = merger->n_heap++;
    while (i > 0 && candidate.order < merger->heap[(i - 1) / 2].order) {
        merger->heap[i] = merger->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    merger->heap[i] = candidate;
    return IMX_OK;
}

static imx_merge_candidate heap_pop(imx_merger *merger) {
    imx_merge_candidate *heap = merger->heap;
    const imx_merge_candidate top = heap[0];
    const imx_merge_candidate last = heap[--merger->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < merger->n_heap; child = 2 * i + 1) {
        if (child + 1 < merger->n_heap && heap[child + 1].order < heap[child].order) {
            child++;
        }
        if (last.order <= heap[child].order) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

// Pushes the pair of symbol `left` and its right neighbour when it may merge.
static imx_status push_pair(imx_merger *merger, uint32_t left, imx_find_merge find,
                            const void *context, imx_error *err) {
    if (left == IMX_NO_SYMBOL || merger->symbols[left].next == IMX_NO_SYMBOL) {
        return IMX_OK;
    }
    const imx_symbol *l = &merger->symbols[left];
    const imx_symbol *r = &merger->symbols[l->next];
    imx_merge merge;
    if (!find(context, l, r, &merge)) {
        return IMX_OK;
    }
    const imx_merge_candidate candidate = {
        .order = (uint64_t)merge.rank << 32 | left,
        .len = l->len + r->len,
        .piece = merge.piece,
    };
    return heap_push(merger, candidate, err);
}

// Merges the right neighbour into `left`, unless the candidate is out of date.
static bool apply_candidate(imx_merger *merger, const imx_merge_candidate *candidate,
                            uint32_t left) {
    imx_symbol *l = &merger->symbols[left];
    if (l->len == 0 || l->next == IMX_NO_SYMBOL) {
        return false;
    }
    imx_symbol *r = &merger->symbols[l->next];
    if (l->len + r->len != candidate->len) {
        return false;
    }
    l->len = candidate->len;
    l->piece = candidate->piece;
    l->next = r->next;
    r->len = 0;
    if (l->next != IMX_NO_SYMBOL) {
        merger->symbols[l->next].prev = left;
    }
    return true;
}

imx_status imx_merger_run(imx_merger *merger, imx_find_merge find, const void *context,
                          imx_error *err) {
    merger->n_heap = 0;
    for (size_t i = 0; i + 1 < merger->n_symbols; i++) {
        IMX_TRY(push_pair(merger, (uint32_t)i, find, context, err));
    }
    while (merger->n_heap > 0) {
        const imx_merge_candidate candidate = heap_pop(merger);
        const uint32_t left = (uint32_t)candidate.order;
        if (apply_candidate(merger, &candidate, left)) {
            IMX_TRY(push_pair(merger, merger->symbols[left].prev, find, context, err));
            IMX_TRY(push_pair(merger, left, find, context, err));
        }
    }
    return IMX_OK;
}

void imx_merger_free(imx_merger *merger) {
    free(merger->symbols);
    free(merger->heap);
    *merger = (imx_merger){0};
}
