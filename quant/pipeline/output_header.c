// SPDX-License-Identifier: MIT

#include "quant/pipeline/output_header.h"

#include <assert.h>

static imx_status set_split_keys(imx_gguf_builder *builder, const imx_plan *plan, size_t shard,
                                 imx_error *err) {
    if (plan->n_shards == 1) {
        return IMX_OK;
    }
    assert(plan->n_shards <= UINT16_MAX);
    IMX_TRY(imx_gguf_set_u16(builder, "split.no", (uint16_t)shard, err));
    IMX_TRY(imx_gguf_set_u16(builder, "split.count", (uint16_t)plan->n_shards, err));
    return imx_gguf_set_i32(builder, "split.tensors.count", (int32_t)plan->n_items, err);
}

static imx_status build(uint8_t **bytes, size_t *n_bytes, const imx_plan *plan, size_t shard,
                        imx_gguf_builder *builder, imx_error *err) {
    const imx_plan_shard *range = &plan->shards[shard];
    IMX_TRY(set_split_keys(builder, plan, shard, err));
    for (size_t i = 0; i < range->n_items; ++i) {
        const imx_plan_item *item = &plan->items[range->first_item + i];
        IMX_TRY(imx_gguf_add_tensor(builder, item->name, item->type, item->source->n_dims,
                                    item->source->dims, err));
    }
    return imx_gguf_builder_header(builder, bytes, n_bytes, err);
}

// Files after the first have no keys but those that readers need to make sense of them.
static imx_status build_later(uint8_t **bytes, size_t *n_bytes, const imx_plan *plan, size_t shard,
                              uint64_t alignment, imx_error *err) {
    imx_gguf_builder *builder;
    imx_status status = imx_gguf_builder_new(&builder, err);
    if (status == IMX_OK && alignment != IMX_GGUF_DEFAULT_ALIGNMENT) {
        status = imx_gguf_set_u32(builder, "general.alignment", (uint32_t)alignment, err);
    }
    if (status == IMX_OK) {
        status = build(bytes, n_bytes, plan, shard, builder, err);
    }
    imx_gguf_builder_free(builder);
    return status;
}

imx_status imx_output_header_build(uint8_t **bytes, size_t *n_bytes, const imx_plan *plan,
                                   size_t shard, imx_gguf_builder *builder, imx_error *err) {
    return shard == 0
               ? build(bytes, n_bytes, plan, shard, builder, err)
               : build_later(bytes, n_bytes, plan, shard, imx_gguf_builder_alignment(builder), err);
}
