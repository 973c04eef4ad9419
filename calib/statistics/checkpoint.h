// SPDX-License-Identifier: MIT
//
// What an interrupted collection leaves behind, so that another process can go on: the residual
// stream, the sums so far, and what they are of. A checkpoint is written whole or not at all, over
// the one before.
//
// Going on gives the bytes of an uninterrupted run on the same machine. Another machine computes
// the rest with its own rounding, as it would have computed all.

#ifndef IMX_CALIB_CHECKPOINT_H
#define IMX_CALIB_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "calib/forward/residual_stream.h"
#include "calib/forward/walk.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/imatrix_file.h"

typedef struct imx_checkpoint {
    // What it is of. A run that does not agree in all three cannot go on from it.
    const char *model_hash; // of the model's file
    const char *settings;   // options that the sums depend on, in any words
    const imx_corpus *corpus;

    // The state between two blocks of the walk.
    imx_walk_place place;
    imx_imatrix *imatrix; // entries, their in_cov sums, and left_out_chunks; no more is kept
    imx_residual_stream *stream;
    size_t n_embd;
    size_t max_rows; // that the stream can load at a time
} imx_checkpoint;

// Writes to `path`, by way of "PATH.partial". On failure an older checkpoint is untouched.
imx_status imx_checkpoint_write(const imx_checkpoint *checkpoint, const char *path, imx_error *err);

// Removes both, if they are there.
void imx_checkpoint_remove(const char *path);

// Reads `path` for the run described by the first part of *checkpoint: fills in `place`, the stream
// and the imatrix, which is empty or has zeroed entries (imx_collect_announce) that stay where they
// are if the file has no others. *found is false, and nothing changes, when there is no such file.
// A damaged file is IMX_ERR_FORMAT, one of another run IMX_ERR_MISMATCH; both leave it alone.
imx_status imx_checkpoint_read(imx_checkpoint *checkpoint, const char *path, bool *found,
                               imx_error *err);

#endif
