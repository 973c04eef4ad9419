// SPDX-License-Identifier: MIT
//
// What the keys of a model's metadata mean.

#ifndef IMX_CALIB_HPARAM_TABLE_H
#define IMX_CALIB_HPARAM_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "calib/model/hparams.h"
#include "formats/error.h"
#include "formats/gguf.h"

enum { IMX_MAX_HPARAM_KEY = 160 };

// One metadata key "ARCH.suffix" and the field it fills. A later row overrides an earlier one of
// the same field.
typedef struct imx_hparam_row {
    const char *suffix;
    unsigned group; // of imx_key_group
    bool is_required;
    bool is_float; // the field is a float, else a uint32_t
    size_t offset; // of the field in imx_hparams
} imx_hparam_row;

extern const imx_hparam_row imx_hparam_rows[];
extern const size_t imx_n_hparam_rows;

// Whether the row's key means something to an architecture.
bool imx_hparam_is_read(const imx_hparam_row *row, const imx_hparams_rules *rules);

// Whether a key has a value without effect.
bool imx_hparam_is_neutral(const imx_gguf_kv *kv, const char *suffix);

// IMX_ERR_UNSUPPORTED, with what the key asks for.
imx_status imx_hparam_refuse(const imx_gguf *gguf, const char *key, const char *suffix,
                             imx_error *err);

// That for the first key of the architecture which means something that it does not know.
imx_status imx_hparam_refuse_unknown(const imx_hparams_rules *rules, const imx_gguf *gguf,
                                     imx_error *err);

#endif
