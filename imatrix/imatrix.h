// SPDX-License-Identifier: MIT
//
// libimatrix: importance-matrix calibration, quantization and evaluation of GGUF language models.
//
// Three jobs, in the order people do them:
//
//     imatrix_collect    model + text            -> statistics of every weight's input, in a file
//     imatrix_quantize   model + statistics      -> a smaller model
//     imatrix_evaluate   smaller model + text    -> what was lost
//
// The library never prints, exits or aborts on bad input. A function that can fail returns an
// imatrix_status and, where `error` is not NULL, writes one sentence into it that names the file,
// the place and the remedy. Output files appear whole under their final name or not at all.
//
// Options structs are filled by their _init function first; struct_size lets them grow. Strings are
// borrowed for the duration of the call. Different threads may run different jobs; the progress
// callback is called from one thread at a time.

#ifndef IMATRIX_H
#define IMATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum imatrix_status {
    IMATRIX_OK = 0,
    IMATRIX_ERR_ARGUMENT,    // an option or a combination of options makes no sense
    IMATRIX_ERR_IO,          // the operating system refused: missing file, full disk, no permission
    IMATRIX_ERR_FORMAT,      // a file is damaged or is not what it claims to be
    IMATRIX_ERR_UNSUPPORTED, // a file is sound but asks for what this version does not know
    IMATRIX_ERR_MISMATCH,    // two inputs do not belong together
    IMATRIX_ERR_MEMORY,      // out of memory
    IMATRIX_ERR_INTERRUPTED, // the progress callback asked to stop
} imatrix_status;

typedef struct imatrix_error {
    imatrix_status status;
    char message[1024]; // NUL-terminated UTF-8, no trailing newline
} imatrix_error;

// The library's version, "MAJOR.MINOR.PATCH"; static storage.
const char *imatrix_version(void);

// Unlinks the temporary files of all outputs being written; what imatrix_quantizer_run and
// imatrix_collect can resume from, NAME.partial, stays. Async-signal-safe, for a handler of SIGINT
// or SIGTERM that is about to end the process. Signals are held back while matrices are multiplied,
// a few milliseconds at a time.
void imatrix_remove_temporary_files(void);

// ---------------------------------------------------------------------------------------------
// Progress

typedef struct imatrix_progress_report {
    const char *phase; // static text: "layers", "tensors"
    const char *item;  // what was just finished, or NULL; valid during the call
    uint64_t done;     // of the phase
    uint64_t total;
    uint64_t work_done;  // finer, for rates: tokens x layers when running a model, weights when
    uint64_t work_total; // quantizing
    uint64_t part_done;  // of what is under way: chunks of a layer; 0 of 0 where nothing is counted
    uint64_t part_total;
} imatrix_progress_report;

// `report` may be NULL; it returns false to stop the job with IMATRIX_ERR_INTERRUPTED.
typedef struct imatrix_progress {
    bool (*report)(void *context, const imatrix_progress_report *report);
    void *context;
} imatrix_progress;

// ---------------------------------------------------------------------------------------------
// Collect

typedef enum imatrix_format {
    IMATRIX_FORMAT_ZST,  // zstd around the GGUF (default)
    IMATRIX_FORMAT_GGUF, // as llama-imatrix writes it
    IMATRIX_FORMAT_DAT,  // the legacy format, for older readers
} imatrix_format;

// What one text has given to the statistics.
typedef struct imatrix_text_share {
    char name[256]; // base name
    char hash[33];  // XXH3-128 of its bytes in hex: what `xxhsum -H2` prints
    double weight;
    uint64_t n_tokens;
    uint64_t n_chunks;
} imatrix_text_share;

// What a run will take, known before it starts.
typedef struct imatrix_collect_start {
    uint64_t n_tokens;
    uint64_t n_chunks;
    uint64_t n_layers;
    uint64_t n_layers_done; // by an earlier run, whose checkpoint this one goes on from
    bool resumes;           // whether there was one
    uint64_t memory_bytes;  // of the process, at most
    uint64_t scratch_bytes; // of a temporary file beside the output; 0: none is needed
} imatrix_collect_start;

typedef struct imatrix_collect_options {
    size_t struct_size;
    const char *model_path; // GGUF, required

    // Calibration texts, required. "PATH", or "PATH:WEIGHT" to use that share of its chunks, above
    // 0 and at most 1, chosen by seed. PATH is a file; a directory, for its files *.txt, *.md and
    // *.jsonl, hidden ones and folders excepted; or "-" for standard input. A text file is one
    // document. JSONL has a document a line, an object with a string "text" or with "messages",
    // [{"role": ..., "content": ...}], which are put into the model's chat template.
    const char *const *texts; // (n_texts)
    size_t n_texts;
    imatrix_text_share *shares; // (n_texts) filled in; NULL = not wanted (default)

    const char *out_path;  // required
    imatrix_format format; // default ZST
    uint32_t n_ctx;        // tokens in a chunk, at least 2; default 512
    uint64_t from_chunk;   // chunks left out at the start; default 0
    uint64_t max_chunks;   // of the rest; 0 = all (default)
    uint64_t sample;       // of these, so many chosen by seed; 0 = all (default)
    uint64_t seed;         // default 0
    bool by_document;    // no chunk spans two documents; default false: those of a text are packed
    bool drop_tail;      // leave out chunks shorter than n_ctx; default false
    bool process_output; // statistics of the output head too; default false
    bool perplexity;     // compute the text's perplexity on the way; default false
    bool parse_special;  // special tokens written in the text become their ids, except in the
                         // "messages" of JSONL; default false
    int n_threads;       // 0 = all processors (default)

    // Memory that the process may take; 0 = three quarters of what is free (default). Where it is
    // short, intermediate values go to a file without a name beside the output. The output is the
    // same, and so it is for any n_threads.
    uint64_t memory_bytes;

    // A run that ends early leaves a checkpoint, "OUT.partial"; the same call goes on from it. A
    // checkpoint is written every so many seconds (0: after every layer; default 600), and when the
    // progress callback stops the run. One that is damaged or of another run is an error unless
    // `restart` passes over it; it is removed when the output is there. An output that is a device
    // or a pipe has none.
    uint32_t checkpoint_seconds;
    bool restart;

    void (*on_start)(void *context, const imatrix_collect_start *start); // may be NULL (default)
    void *on_start_context;
    imatrix_progress progress;
} imatrix_collect_options;

enum { IMATRIX_N_NAMED_CHUNKS = 16 };

typedef struct imatrix_collect_result {
    uint64_t n_tokens;  // tokens run
    uint64_t n_chunks;  // chunks run, a short last one included
    uint64_t n_entries; // weights with statistics
    uint64_t out_bytes; // size of the file written
    double perplexity;  // NAN unless asked for
    double perplexity_error;

    // Chunks that turned non-finite on their way through the model: from there on they are left
    // out.
    uint64_t n_left_out;
    uint64_t left_out[IMATRIX_N_NAMED_CHUNKS]; // the numbers of the first, counted from 0
} imatrix_collect_result;

void imatrix_collect_options_init(imatrix_collect_options *options);

// Runs the text through the model and writes the statistics. Sums are kept in f64; the file's bytes
// do not depend on n_threads. `result` may be NULL.
imatrix_status imatrix_collect(const imatrix_collect_options *options,
                               imatrix_collect_result *result, imatrix_error *error);

// ---------------------------------------------------------------------------------------------
// Quantize

// A recipe is what users call a quantization type: "Q4_K_M".
typedef struct imatrix_recipe_info {
    const char *name;
    const char *summary;
    uint32_t file_type; // general.file_type, llama.cpp's number
} imatrix_recipe_info;

// Recipe number i in the order of the help text; false beyond the last.
bool imatrix_recipe_at(size_t i, imatrix_recipe_info *info);

// Looks a recipe up by name (any case) or by number; false when there is none.
bool imatrix_recipe_find(const char *name_or_number, imatrix_recipe_info *info);

typedef enum imatrix_effort {
    IMATRIX_EFFORT_DEFAULT,
    IMATRIX_EFFORT_BEST, // many times slower, within about a hundredth of the least error there is
} imatrix_effort;

// What an error in a weight x costs: its column's importance times (mean of x² + x²)^p.
typedef enum imatrix_weighting {
    IMATRIX_WEIGHTING_AUTO,  // p by type, chosen by KL divergence: docs/quality.md
    IMATRIX_WEIGHTING_PLAIN, // p = 0: the importance alone
    IMATRIX_WEIGHTING_SQRT,  // p = 1/2, as llama.cpp does
} imatrix_weighting;

typedef struct imatrix_quantize_options {
    size_t struct_size;
    const char *model_path;   // source GGUF, or any shard of one; required
    const char *imatrix_path; // statistics in any of the three formats, or NULL
    const char *recipe;       // name or number, required
    imatrix_effort effort;
    imatrix_weighting weighting;

    // Types other than the recipe's, as names ("Q8_0", any case). No override changes the type of a
    // tensor that it does not name.
    const char *embedding_type;      // of the token embedding; NULL = by recipe
    const char *output_type;         // of the output head; of a tied embedding if the above is NULL
    const char *const *tensor_types; // (n_tensor_types) "REGEX=TYPE": PCRE2, found anywhere in the
    size_t n_tensor_types;           // name, case-sensitive, first match wins
    const char *tensor_type_file;    // more of them, separated by white space; NULL = none
    bool pure;                       // all tensors of the recipe's default type
    bool leave_output;               // the output head stays as it is
    bool allow_requantize;           // decode and encode again what is already quantized

    // Statistics.
    const char *const *include_weights; // (n_included) use them only for names that contain one of
    size_t n_included;                  // these
    const char *const *exclude_weights; // (n_excluded) never for names that contain one of these
    size_t n_excluded;
    const char *missing;   // tensors without: "neutral" (default), "fail", or the type they get
    uint32_t prior_tokens; // experts that saw few tokens lean on the tensor's mean as if it had
                           // been seen so often; default 16, 0 = not at all

    // The file.
    const char *const *key_overrides; // (n_key_overrides) "KEY=TYPE:VALUE"
    size_t n_key_overrides;
    const uint32_t *prune_layers; // (n_pruned) layers left out; those behind move up
    size_t n_pruned;
    bool hide_imatrix;        // do not write which imatrix it was
    bool keep_split;          // shards as in the source
    uint64_t split_max_bytes; // of tensor data in a shard; 0 = one file
    bool resume;              // go on from what an interrupted run has left

    int n_threads; // 0 = all processors (default)
    imatrix_progress progress;
} imatrix_quantize_options;

// What will be, or has been, done with one tensor.
typedef struct imatrix_tensor_plan {
    const char *name; // valid until imatrix_quantizer_close
    uint64_t dims[4]; // 1 beyond n_dims
    uint32_t n_dims;
    const char *source_type; // "F16"
    const char *type;        // "Q4_K"
    uint64_t source_bytes;
    uint64_t size_bytes;
    bool is_copied;        // bytes pass through unchanged
    bool is_fallback;      // the recipe's type does not fit this row length
    bool has_statistics;   // the imatrix is used for it
    bool lacks_statistics; // an imatrix was given but has nothing for this tensor
    uint64_t n_starved;    // experts that saw fewer tokens than prior_tokens
    double weighted_error; // after a run: importance-weighted relative squared error, sum w(x-q)² /
                           // sum wx²; NAN for copied tensors and before a run
    double relative_error; // after a run: the same without weights
} imatrix_tensor_plan;

typedef struct imatrix_plan_totals {
    uint64_t n_tensors;
    uint64_t n_weights;
    uint64_t source_bytes; // of tensor data
    uint64_t size_bytes;   // of tensor data, padding included
    double bits_per_weight;
    uint64_t n_imatrix_entries; // in the imatrix file; 0 without one
    uint64_t n_with_statistics;
    uint64_t n_lacking_statistics;
    uint64_t n_unguided;   // tensors in layers that become Q2_K without statistics
    uint64_t n_starved;    // experts that saw fewer tokens than prior_tokens
    uint64_t n_shards;     // files to write
    uint64_t disk_bytes;   // of these files
    uint64_t memory_bytes; // that a run needs at most, roughly
    uint64_t n_kept;       // after a run: tensors that an interrupted one had finished
} imatrix_plan_totals;

// A source model, an optional imatrix and the plan made of them.
typedef struct imatrix_quantizer imatrix_quantizer;

void imatrix_quantize_options_init(imatrix_quantize_options *options);

// Opens the inputs and plans; no tensor data is read. *out is the caller's to
// imatrix_quantizer_close; NULL on failure.
imatrix_status imatrix_quantizer_open(imatrix_quantizer **out,
                                      const imatrix_quantize_options *options,
                                      imatrix_error *error);

// The totals, and tensor i in the order of the new file (i < n_tensors).
void imatrix_quantizer_totals(const imatrix_quantizer *quantizer, imatrix_plan_totals *totals);
void imatrix_quantizer_tensor(const imatrix_quantizer *quantizer, size_t i,
                              imatrix_tensor_plan *plan);

// Writes the quantized model to `out_path`, which must not be the source. The file's bytes do not
// depend on n_threads; memory does not grow with the model.
imatrix_status imatrix_quantizer_run(imatrix_quantizer *quantizer, const char *out_path,
                                     imatrix_error *error);

void imatrix_quantizer_close(imatrix_quantizer *quantizer);

// ---------------------------------------------------------------------------------------------
// Evaluate

typedef struct imatrix_evaluate_options {
    size_t struct_size;
    const char *model_path; // required
    const char *base_path;  // what it was made from, or NULL
    const char *text_path;  // required; for an honest figure, not the calibration text
    uint32_t n_ctx;         // default 512
    uint64_t max_chunks;    // 0 = all (default)
    bool parse_special;
    int n_threads; // 0 = all processors (default)
    imatrix_progress progress;
} imatrix_evaluate_options;

typedef struct imatrix_estimate {
    double value;
    double error; // standard error
} imatrix_estimate;

typedef struct imatrix_evaluation {
    uint64_t n_tokens; // run
    uint64_t n_scored; // predictions scored: the second half of every full chunk
    imatrix_estimate perplexity;
    bool has_base; // whether the rest is filled in
    imatrix_estimate base_perplexity;
    imatrix_estimate ln_ratio;         // ln(perplexity / base_perplexity), paired
    imatrix_estimate perplexity_ratio; // exp of it
    imatrix_estimate kl_mean;          // KL(base || model) in nats per token
    double kl_median, kl_p99, kl_max;
    imatrix_estimate top1; // share of positions where both would pick the same token, 0..1
} imatrix_evaluation;

void imatrix_evaluate_options_init(imatrix_evaluate_options *options);

// Perplexity as llama-perplexity defines it, and the loss against the base. Source of the
// definitions: docs/evaluation.md.
imatrix_status imatrix_evaluate(const imatrix_evaluate_options *options, imatrix_evaluation *result,
                                imatrix_error *error);

#ifdef __cplusplus
}
#endif

#endif
