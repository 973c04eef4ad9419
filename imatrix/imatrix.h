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
// imatrix_calibration joins the first two: while the text runs through the model each layer is
// quantized with all that its inputs tell, which is more than statistics in a file can hold.
//
// imatrix_file is what the first has written: to show, compare, merge, convert and check against a
// model. imatrix_inspect tells beforehand what a model is and which sizes it would have.
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

// Writes `size_bytes` bytes to a file as all outputs here are written: under a temporary name,
// synced, renamed, so that `path` is either whole and new or as it was.
imatrix_status imatrix_write_file(const char *path, const void *data, size_t size_bytes,
                                  imatrix_error *error);

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
    const char *model;    // path of the one that is run, where there are several, else NULL; valid
                          // during the job
    uint64_t model_index; // of n_models
    uint64_t n_models;
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
typedef struct imatrix_run_start {
    uint64_t n_tokens;
    uint64_t n_chunks;
    uint64_t n_layers;
    uint64_t n_layers_done; // by an earlier run, whose checkpoint this one goes on from
    bool resumes;           // whether there was one
    uint64_t memory_bytes;  // of the process, at most
    uint64_t scratch_bytes; // of a temporary file beside the output; 0: none is needed
} imatrix_run_start;

// How closely products with weights are computed.
typedef enum imatrix_precision {
    IMATRIX_PRECISION_EXACT, // as sums in f32 are, or nearly (docs/benchmarks.md)
    IMATRIX_PRECISION_FAST   // both factors rounded to bf16, which a matrix unit multiplies several
                             // times as fast; what that does to statistics is in docs/quality.md
} imatrix_precision;

// How a text is run through a model, whatever for.
typedef struct imatrix_run_options {
    const char *model_path; // GGUF, required

    // Calibration texts, required. "PATH", or "PATH:WEIGHT" to use that share of its chunks, above
    // 0 and at most 1, chosen by seed. PATH is a file; a directory, for its files *.txt, *.md and
    // *.jsonl, hidden ones and folders excepted; or "-" for standard input. A text file is one
    // document. JSONL has a document a line, an object with a string "text" or with "messages",
    // [{"role": ..., "content": ...}], which are put into the model's chat template.
    const char *const *texts; // (n_texts)
    size_t n_texts;
    imatrix_text_share *shares; // (n_texts) filled in; NULL = not wanted (default)

    uint32_t n_ctx;      // tokens in a chunk, at least 2; default 512
    uint64_t from_chunk; // chunks left out at the start; default 0
    uint64_t max_chunks; // of the rest; 0 = all (default)
    uint64_t sample;     // of these, so many chosen by seed; 0 = all (default)
    uint64_t seed;       // default 0
    bool by_document;    // no chunk spans two documents; default false: those of a text are packed
    bool drop_tail;      // leave out chunks shorter than n_ctx; default false
    bool parse_special;  // special tokens written in the text become their ids, except in the
                         // "messages" of JSONL; default false
    bool process_output; // the input of the output head is watched too; default false
    imatrix_precision precision; // default FAST on a processor with a matrix unit, else EXACT,
                                 // which there costs the same
    int n_threads;               // 0 = all processors (default)

    // Memory that the process may take; 0 = three quarters of what is free (default). Where it is
    // short, intermediate values go to a file without a name beside the output.
    uint64_t memory_bytes;

    // Between two checkpoints, which tell a later run where to go on; 0: one after every layer;
    // default 600. An output that is a device or a pipe has none.
    uint32_t checkpoint_seconds;

    void (*on_start)(void *context, const imatrix_run_start *start); // may be NULL (default)
    void *on_start_context;
    imatrix_progress progress;
} imatrix_run_options;

typedef struct imatrix_collect_options {
    size_t struct_size;
    imatrix_run_options run;
    const char *out_path;  // required
    imatrix_format format; // default ZST
    uint32_t digits;       // significant decimal digits that the sums are rounded to, 1 to 7, for
                           // smaller zst files; 0 = all (default)
    bool perplexity;       // compute the text's perplexity on the way; default false
    bool all_experts;      // statistics of experts are of all tokens, not only of those that they
                           // are sent by the router; nothing else changes; default false
    bool covariance;       // mean products of columns too, of each whole run of 256, for quantizing
                           // with feedback inside a super-block; default false

    // A run that ends early, also one that the progress callback stops, leaves a checkpoint,
    // "OUT.partial"; the same call goes on from it. One that is damaged or of another run is an
    // error unless `restart` passes over it; it is removed when the output is there.
    bool restart;
} imatrix_collect_options;

enum { IMATRIX_N_NAMED_CHUNKS = 16, IMATRIX_N_NAMED_EXPERTS = 8, IMATRIX_FEW_TOKENS = 16 };

typedef struct imatrix_expert {
    uint64_t layer;
    uint64_t expert;
    uint64_t n_tokens; // that it saw
} imatrix_expert;

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

    // Experts of all layers, and those of them that saw fewer than IMATRIX_FEW_TOKENS tokens: for
    // them quantize leans on what the others of their layer saw. 0 and 0 without experts.
    uint64_t n_experts;
    uint64_t n_starved_experts;
    imatrix_expert starved[IMATRIX_N_NAMED_EXPERTS]; // those that saw least, the least first
} imatrix_collect_result;

void imatrix_collect_options_init(imatrix_collect_options *options);

// Runs the text through the model and writes the statistics. Sums are kept in f64; the file's bytes
// do not depend on n_threads and memory_bytes. `result` may be NULL.
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

// A text that is run through a model while the model is quantized; see imatrix_calibration_open.
typedef struct imatrix_calibration imatrix_calibration;

typedef struct imatrix_quantize_options {
    size_t struct_size;
    const char *model_path;           // source GGUF, or any shard of one; required
    const char *imatrix_path;         // statistics in any of the three formats, or NULL
    imatrix_calibration *calibration; // instead of it, of the same model; must outlive the
                                      // quantizer, which imatrix_calibration_run runs; or NULL
    const char *recipe;               // name or number, required
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
    bool ignore_covariance; // do not let errors pay for each other where the imatrix has products
                            // of columns (`collect --covariance`) to tell how; default false
    const char *missing;    // tensors without: "neutral" (default), "fail", or the type they get
    uint32_t prior_tokens;  // experts that saw few tokens lean on the tensor's mean as if it had
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

// Between which weights of a row errors may pay for each other.
typedef enum imatrix_reach {
    IMATRIX_REACH_COLUMN,      // none: each column is as important as its input
    IMATRIX_REACH_SUPER_BLOCK, // those of a super-block
    IMATRIX_REACH_ROW,         // all
    IMATRIX_N_REACHES,
} imatrix_reach;

// Why a matrix was not given the reach of a row.
typedef enum imatrix_reach_reason {
    IMATRIX_REASON_NONE,       // it was
    IMATRIX_REASON_TYPE,       // the type has no grid, or rows are short
    IMATRIX_REASON_UNSEEN,     // no input of it was seen
    IMATRIX_REASON_FEW_TOKENS, // fewer than twice the columns of its reach
    IMATRIX_REASON_MEMORY,     // products of all columns had no room
    IMATRIX_REASON_HELD_OUT,   // it was worse on chunks held out
    IMATRIX_N_REASONS,
} imatrix_reach_reason;

// "row", "super-block", "column"; and "few tokens" or the like. Static storage.
const char *imatrix_reach_name(imatrix_reach reach);
const char *imatrix_reason_name(imatrix_reach_reason reason);

// What a calibration has made of a tensor's matrices: one, or as many as there are experts.
typedef struct imatrix_calibrated {
    uint64_t n_matrices; // that it has coded in this run; 0: none, or none yet
    imatrix_reach reach; // of most of them, and why
    imatrix_reach_reason reason;
    double damping; // mean over those whose errors pay for each other, in mean squared inputs; NAN
                    // where there are none
    double gain; // mean loss on chunks held out over that of the search by columns; 1 without them
} imatrix_calibrated;

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
    bool has_covariance;   // its products of columns too
    bool lacks_statistics; // an imatrix was given but has nothing for this tensor
    uint64_t n_starved;    // experts that saw fewer tokens than prior_tokens
    double weighted_error; // after a run: importance-weighted relative squared error, sum w(x-q)² /
                           // sum wx²; NAN for copied tensors and before a run
    double relative_error;         // after a run: the same without weights
    imatrix_calibrated calibrated; // after a run with a calibration
} imatrix_tensor_plan;

typedef struct imatrix_plan_totals {
    uint64_t n_tensors;
    uint64_t n_weights;
    uint64_t source_bytes; // of tensor data
    uint64_t size_bytes;   // of tensor data, padding included
    double bits_per_weight;
    uint64_t n_imatrix_entries; // in the imatrix file, and one for the embedding where that has
                                // products of columns; 0 without one
    uint64_t n_with_statistics;
    uint64_t n_with_covariance;
    uint64_t n_lacking_statistics;
    uint64_t n_unguided;   // tensors in layers that become Q2_K without statistics
    uint64_t n_starved;    // experts that saw fewer tokens than prior_tokens
    uint64_t n_shards;     // files to write
    uint64_t disk_bytes;   // of these files
    uint64_t memory_bytes; // that a run needs at most, roughly
    uint64_t n_kept;       // after a run: tensors that an interrupted one had finished

    // After a run with a calibration: matrices by reach and the reason for it.
    uint64_t n_reached[IMATRIX_N_REACHES][IMATRIX_N_REASONS];
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
// depend on n_threads; memory does not grow with the model. Not for a quantizer with a calibration.
imatrix_status imatrix_quantizer_run(imatrix_quantizer *quantizer, const char *out_path,
                                     imatrix_error *error);

void imatrix_quantizer_close(imatrix_quantizer *quantizer);

// ---------------------------------------------------------------------------------------------
// Calibrate and quantize

// What a layer is shown while it is being quantized.
typedef enum imatrix_inputs {
    IMATRIX_INPUTS_ORIGINAL,  // what the source's layers before it yield: one pass serves all types
    IMATRIX_INPUTS_QUANTIZED, // what the quantized layers before it yield: for one type at a time
} imatrix_inputs;

typedef struct imatrix_calibration_options {
    size_t struct_size;
    imatrix_run_options run; // process_output: the head is calibrated too
    imatrix_inputs inputs;   // default ORIGINAL
} imatrix_calibration_options;

void imatrix_calibration_options_init(imatrix_calibration_options *options);

// Opens the model and reads the texts; nothing runs yet. Strings and what `run` points to must
// outlive the calibration. *out is the caller's to imatrix_calibration_close, after the quantizers
// that were opened with it; NULL on failure.
imatrix_status imatrix_calibration_open(imatrix_calibration **out,
                                        const imatrix_calibration_options *options,
                                        imatrix_error *error);
void imatrix_calibration_close(imatrix_calibration *calibration);

// What a run of these quantizers will take. The totals of each then have the memory of all.
imatrix_status imatrix_calibration_measure(imatrix_calibration *calibration,
                                           imatrix_quantizer *const *quantizers,
                                           size_t n_quantizers, imatrix_run_start *start,
                                           imatrix_error *error);

// Runs the text through the model once and writes a quantized model to each of `out_paths`
// (n_quantizers), none of which may be the source or a pipe. Every quantizer was opened with this
// calibration, which serves one run. The bytes of a file do not depend on n_threads, on the
// quantizers beside it nor, as long as the covariances of a layer fit in it, on memory_bytes.
//
// A run that ends early leaves its unfinished files, "OUT.partial", and once a checkpoint was due
// "OUT.calibration" beside the first. When all quantizers were opened with `resume`, the same run
// goes on after the last layer that this one has; what is there of another run is then
// IMATRIX_ERR_MISMATCH, and without `resume` replaced.
//
// Several quantizers with IMATRIX_INPUTS_QUANTIZED and two equal paths are IMATRIX_ERR_ARGUMENT.
imatrix_status imatrix_calibration_run(imatrix_calibration *calibration,
                                       imatrix_quantizer *const *quantizers,
                                       const char *const *out_paths, size_t n_quantizers,
                                       imatrix_error *error);

// ---------------------------------------------------------------------------------------------
// Evaluate

typedef struct imatrix_evaluate_options {
    size_t struct_size;
    const char *model_path; // required
    const char *base_path;  // what it was made from, or NULL
    const char *text_path;  // required without base_logits_path; for an honest figure, not the
                            // calibration text

    // llama-perplexity's file of a model's predictions on a text, two bytes a token of the
    // vocabulary for each scored position. `save_logits_path`: write that of the model.
    // `base_logits_path`: read that of the base, instead of base_path and text_path; text and
    // n_ctx are those it was written with. NULL = none (default).
    const char *save_logits_path;
    const char *base_logits_path;

    uint32_t n_ctx;      // default 512
    uint64_t max_chunks; // 0 = all (default)
    bool parse_special;
    int n_threads; // 0 = all processors (default)
    imatrix_progress progress;
} imatrix_evaluate_options;

typedef struct imatrix_estimate {
    double value;
    double error; // standard error
} imatrix_estimate;

// Which values are picked out of many: the least, that with 0.1 % of them below it, and so on.
typedef enum imatrix_quantile {
    IMATRIX_MINIMUM,
    IMATRIX_P0_1,
    IMATRIX_P1,
    IMATRIX_P5,
    IMATRIX_P10,
    IMATRIX_P25,
    IMATRIX_MEDIAN,
    IMATRIX_P75,
    IMATRIX_P90,
    IMATRIX_P95,
    IMATRIX_P99,
    IMATRIX_P99_9,
    IMATRIX_MAXIMUM,
    IMATRIX_N_QUANTILES,
} imatrix_quantile;

typedef struct imatrix_evaluation {
    uint64_t n_ctx;    // tokens in a chunk
    uint64_t n_tokens; // run
    uint64_t n_scored; // predictions scored: the second half of every full chunk
    imatrix_estimate perplexity;
    bool has_base; // whether the rest is filled in
    imatrix_estimate base_perplexity;
    imatrix_estimate ln_ratio;              // ln(perplexity / base_perplexity), paired
    imatrix_estimate perplexity_ratio;      // exp of it
    imatrix_estimate perplexity_difference; // perplexity - base_perplexity, paired
    double correlation;       // of both log-likelihoods, -1..1; NAN when one does not vary
    imatrix_estimate kl_mean; // KL(base || model) in nats per token
    double kl[IMATRIX_N_QUANTILES];
    imatrix_estimate dp_mean; // change of the probability of the right token, -1..1
    imatrix_estimate dp_rms;  // root of its mean square
    double dp[IMATRIX_N_QUANTILES];
    imatrix_estimate top1; // share of positions where both would pick the same token, 0..1
} imatrix_evaluation;

void imatrix_evaluate_options_init(imatrix_evaluate_options *options);

// Perplexity as llama-perplexity defines it, and the loss against the base. Source of the
// definitions: docs/evaluation.md.
imatrix_status imatrix_evaluate(const imatrix_evaluate_options *options, imatrix_evaluation *result,
                                imatrix_error *error);

// ---------------------------------------------------------------------------------------------
// Multiple-choice tasks

// Whose file it is, in llama-perplexity's formats.
typedef enum imatrix_task_kind {
    IMATRIX_TASKS_HELLASWAG,       // text, six lines a task
    IMATRIX_TASKS_WINOGRANDE,      // text, a line a task
    IMATRIX_TASKS_MULTIPLE_CHOICE, // binary: ARC, MMLU, TruthfulQA
} imatrix_task_kind;

typedef struct imatrix_task_options {
    size_t struct_size;
    const char *model_path; // required
    const char *tasks_path; // required
    imatrix_task_kind kind; // default HELLASWAG
    uint64_t max_tasks;     // so many, the ones that llama-perplexity chooses; 0 = all (default)
    int n_threads;          // 0 = all processors (default)
    imatrix_progress progress;
} imatrix_task_options;

typedef struct imatrix_task_outcome {
    uint64_t number;    // of the task in its file, from 0
    const double *ln_p; // (n_choices) mean ln of the probability of a choice's tokens; NAN where
                        // none is scored
    size_t n_choices;
    size_t chosen; // choice with the largest, from 0
    bool is_right;
} imatrix_task_outcome;

typedef struct imatrix_task_result {
    imatrix_task_outcome *tasks; // (n_tasks) in llama-perplexity's order
    size_t n_tasks;
    uint64_t n_right;
    imatrix_estimate accuracy; // share of right choices, 0..1
    double interval[2];        // of it, 95 %, Wilson's
    double chance;             // accuracy of guessing
    void *memory;              // of ln_p
} imatrix_task_result;

void imatrix_task_options_init(imatrix_task_options *options);

// Counts how often the model finds the right choice the most probable. *result is the caller's to
// imatrix_task_result_free, also on failure.
imatrix_status imatrix_run_tasks(const imatrix_task_options *options, imatrix_task_result *result,
                                 imatrix_error *error);
void imatrix_task_result_free(imatrix_task_result *result);

// ---------------------------------------------------------------------------------------------
// Compare

typedef struct imatrix_compare_options {
    size_t struct_size;
    const char *base_path;          // what the models were made from; required
    const char *const *model_paths; // (n_models), at least one; they have the base's vocabulary
    size_t n_models;
    const char *text_path;    // required; for an honest figure, not the calibration text
    const char *against_path; // one of model_paths, that all others are held against; NULL: each
                              // against the best of the smaller ones (default)
    const char *tasks_path;   // HellaSwag tasks to solve too, see IMATRIX_TASKS_HELLASWAG; or NULL
    uint64_t max_tasks;       // so many of them, chosen at random; default 400, 0 = all
    uint32_t n_ctx;           // default 512
    uint64_t max_chunks;      // 0 = all (default)
    bool parse_special;
    int n_threads; // 0 = all processors (default)
    imatrix_progress progress;
} imatrix_compare_options;

typedef enum imatrix_verdict {
    IMATRIX_NO_DIFFERENCE, // that could be measured: less than two standard errors
    IMATRIX_BETTER,
    IMATRIX_WORSE,
} imatrix_verdict;

typedef struct imatrix_compared_model {
    size_t index;        // in model_paths
    uint64_t file_bytes; // of all its shards
    double bits_per_weight;
    bool on_front; // no other is smaller or as small, and loses less
    imatrix_evaluation evaluation;
    imatrix_estimate accuracy;        // share of the tasks that it solves; NAN without tasks
    imatrix_estimate accuracy_change; // from the base's, paired
    imatrix_verdict accuracy_verdict;
} imatrix_compared_model;

// The means of differences at the same positions, model - against. Their errors take chunks of the
// text, not positions, for independent.
typedef struct imatrix_model_difference {
    size_t model; // both are indices in imatrix_comparison.models
    size_t against;
    imatrix_estimate kl;        // of the KL divergence, in nats
    imatrix_verdict kl_verdict; // on the model
    imatrix_estimate ln_ratio;  // of the negative log-likelihood: ln of the ratio of perplexities
    imatrix_verdict ratio_verdict; // on the model
} imatrix_model_difference;

typedef struct imatrix_comparison {
    uint64_t base_bytes; // of its file
    double base_bits_per_weight;
    uint64_t n_tasks;               // 0: none were to be solved
    imatrix_estimate base_accuracy; // share of the tasks that it solves
    uint64_t n_groups;              // that the errors of differences take for independent
    imatrix_compared_model *models; // (n_models), largest file first, of equals the better first
    size_t n_models;

    // Of each model to the next smaller one, and to the best of all smaller ones or to that at
    // against_path; none twice.
    imatrix_model_difference *differences; // (n_differences)
    size_t n_differences;
} imatrix_comparison;

void imatrix_compare_options_init(imatrix_compare_options *options);

// Measures several models against one base, which is run once. All files are opened and checked
// before the first is run. *result is the caller's to imatrix_comparison_free, also on failure.
// Definitions: docs/compare.md.
imatrix_status imatrix_compare(const imatrix_compare_options *options, imatrix_comparison *result,
                               imatrix_error *error);
void imatrix_comparison_free(imatrix_comparison *comparison);

// ---------------------------------------------------------------------------------------------
// Imatrix files

// Statistics in memory, read from a file of any format or merged.
typedef struct imatrix_file imatrix_file;

// *out is the caller's to imatrix_file_close; NULL on failure. A file with values that cannot be is
// IMATRIX_ERR_FORMAT naming the first.
imatrix_status imatrix_file_open(imatrix_file **out, const char *path, imatrix_error *error);
void imatrix_file_close(imatrix_file *file);

// Numbers are 0 and texts NULL where the file does not say; texts are valid until it is closed.
typedef struct imatrix_file_info {
    imatrix_format format; // it was read as
    uint64_t n_entries;    // weights
    uint64_t n_texts;
    uint64_t n_chunks;
    uint32_t chunk_size; // tokens in a chunk; 1: the file counts chunks, as the legacy format does
    uint64_t n_tokens;
    uint64_t n_left_out; // chunks that turned non-finite
    uint32_t digits;     // that sums were rounded to
    bool all_experts;    // experts saw tokens that the router had not sent them
    const char *program; // that wrote it
    const char *model_name;
    const char *model_hash; // XXH3-128 in hex
    const char *precision;  // "exact" or "fast", of the products it was collected with

    // What it holds beyond means, for the formats that cannot: see imatrix_file_write.
    uint64_t n_with_sums;      // weights with sums and maxima of inputs
    uint64_t n_with_products;  // weights with products of columns (`covariance` of collect)
    uint64_t n_with_experts;   // weights with a count for every expert
    uint64_t n_without_data;   // weights that have seen nothing
    uint64_t n_unseen_experts; // of weights that have seen something
} imatrix_file_info;

void imatrix_file_get_info(const imatrix_file *file, imatrix_file_info *info);

// Text i < n_texts. Where the file has only its name, the hash is "", the weight 1 and the rest 0.
void imatrix_file_text(const imatrix_file *file, size_t i, imatrix_text_share *share);

// Statistics of a weight, of the mean squared inputs a of all its columns: of all experts together,
// those left out that have seen nothing. NAN where there is nothing to tell. Up to `cosine` as
// `llama-imatrix --show-statistics` defines them.
typedef struct imatrix_weight_statistics {
    const char *name; // valid until the file is closed
    int32_t layer;    // -1 outside
    uint64_t n_cols;  // inputs of one matrix
    uint64_t n_mats;  // experts; 1 when dense
    uint64_t n_values;
    double sum, min, max, mean;
    double sigma;       // standard deviation
    double active;      // share of a above 1e-5, 0..1
    double entropy;     // of a / sum, bits
    double evenness;    // entropy / log2(n_values), 0..1
    double above_sigma; // share of a beyond mean + sigma, 0..1 (their ZD)
    double cosine;      // of the sums with those of the same weight one layer below

    double top_share; // of the sum in the largest hundredth of a, 0..1
    double rows;      // tokens that were multiplied with it, summed over experts
    double rows_min, rows_median, rows_max; // of an expert
    uint64_t n_unseen;                      // experts without
} imatrix_weight_statistics;

// Means over the weights of a layer, each counting by its n_values.
typedef struct imatrix_layer_statistics {
    int32_t layer;
    uint64_t n_weights;
    double sum, above_sigma, cosine, top_share;
} imatrix_layer_statistics;

// Fills `weights` (n_entries), by layer and name, those outside layers last; and `layers` (room for
// n_entries), ascending, one for each layer with weights, whose number goes to *n_layers.
imatrix_status imatrix_file_statistics(const imatrix_file *file, imatrix_weight_statistics *weights,
                                       imatrix_layer_statistics *layers, size_t *n_layers,
                                       imatrix_error *error);

// How far two files are apart on a weight: of the mean squared inputs of its columns, over the
// experts that both have seen. NAN where they have nothing in common.
typedef struct imatrix_weight_difference {
    const char *name; // valid until both files are closed
    bool in_a, in_b;
    bool comparable;         // in both, with as many values
    double cosine;           // 0..1
    double rank_correlation; // Spearman's, -1..1
    double sum_ratio;        // sum in b / sum in a
} imatrix_weight_difference;

// All weights of a and b, by name. *out (n) is the caller's to free().
imatrix_status imatrix_file_compare(const imatrix_file *a, const imatrix_file *b,
                                    imatrix_weight_difference **out, size_t *n,
                                    imatrix_error *error);

// Joins n_files imatrices of one model: sums and counts, times the weights (n_files, above 0;
// NULL = all 1), add up; maxima are maximal; the texts stand one behind another. A file whose
// chunk_size is 1 counts as if its chunks were as large as the largest of the others. Different
// shapes of a weight are IMATRIX_ERR_MISMATCH. *out is the caller's to imatrix_file_close.
imatrix_status imatrix_file_merge(imatrix_file **out, const imatrix_file *const *files,
                                  const double *weights, size_t n_files, imatrix_error *error);

// Rounds sums to so many significant decimal digits, 1 to 7; 0 = not at all.
imatrix_status imatrix_file_round(imatrix_file *file, uint32_t digits, imatrix_error *error);

// Writes the file, its weights in the order in which they were read. The legacy format holds means
// only: it loses sums, maxima, hashes, all texts but the last, weights without data, and the counts
// of experts, of which those without data become 1 everywhere.
imatrix_status imatrix_file_write(const imatrix_file *file, const char *path, imatrix_format format,
                                  imatrix_error *error);

// What quantizing a model with the file would stumble over.
typedef enum imatrix_finding_kind {
    IMATRIX_FINDING_SHAPE,     // weight has n_of values, the file has n: quantize refuses
    IMATRIX_FINDING_MISSING,   // a layer's weight is not in the file: its columns count alike
    IMATRIX_FINDING_UNSEEN,    // it is, and has seen nothing: likewise
    IMATRIX_FINDING_NO_TOKENS, // n of n_of experts have seen nothing: they take the mean of others
    IMATRIX_FINDING_STARVED,   // n of n_of experts have seen few tokens: they lean on that mean
    IMATRIX_FINDING_ONE_COUNT, // one count for n_of experts: which saw little cannot be told
    IMATRIX_FINDING_ZEROS,     // n of n_of columns have only seen zeros: their errors cost nothing
    IMATRIX_FINDING_FOREIGN,   // the file's weight is not in the model: it is not used
    IMATRIX_FINDING_MODEL,     // the file was collected on another model, or another version of it
    IMATRIX_N_FINDING_KINDS,
} imatrix_finding_kind;

typedef struct imatrix_finding {
    imatrix_finding_kind kind;
    char name[128]; // of the weight; of the model it was collected on
    uint64_t n;
    uint64_t n_of;
} imatrix_finding;

typedef struct imatrix_check_result {
    uint64_t n_weights;        // of layers, that recipes quantize
    uint64_t n_covered;        // of these, with statistics
    imatrix_finding *findings; // (n_findings), the caller's to free(); NULL after a failure
    size_t n_findings;
} imatrix_check_result;

// Compares the file with a model, of which only the header is read, or with `hash_model` and a
// recorded hash all of it. Experts that saw fewer than `min_tokens` tokens are starved.
imatrix_status imatrix_file_check(const imatrix_file *file, const char *model_path,
                                  uint64_t min_tokens, bool hash_model,
                                  imatrix_check_result *result, imatrix_error *error);

// ---------------------------------------------------------------------------------------------
// Trace

typedef struct imatrix_trace_options {
    size_t struct_size;
    const char *model_path;   // GGUF of any type; required
    const char *text_path;    // UTF-8 text; its first n_ctx tokens are run
    const char *tokens_path;  // or a file of token numbers between spaces or commas
    const char *against_path; // or a trace, whose tokens are run and which is compared with
    const char *out_path;     // the trace goes there; NULL: nowhere
    uint32_t n_ctx;           // tokens at most, run as one chunk; default 512
    bool parse_special;       // special tokens written in the text become their ids
    int n_threads;            // 0 = all processors (default)
    imatrix_progress progress;
} imatrix_trace_options;

typedef enum imatrix_trace_state {
    IMATRIX_TRACE_SAME,    // both have it, in the same shape and with the same counts
    IMATRIX_TRACE_COUNTS,  // with other counts
    IMATRIX_TRACE_SHAPE,   // in another shape
    IMATRIX_TRACE_MISSING, // only the reference has it
    IMATRIX_TRACE_EXTRA,   // the reference has it not
} imatrix_trace_state;

// How far the input of a weight product is from the reference's.
typedef struct imatrix_trace_product {
    char name[128]; // of the weight
    imatrix_trace_state state;
    double error; // of the sums of squares of all columns the largest |difference| / (reference +
                  // mean of the matrix's reference)
} imatrix_trace_product;

typedef struct imatrix_trace_result {
    uint64_t n_tokens;
    bool has_comparison;             // whether the rest is filled in
    double logits_error;             // mean squared difference / mean square of the reference
    double same_top;                 // share of tokens with the same largest logit, 0..1
    imatrix_trace_product *products; // (n_products), by name
    size_t n_products;
} imatrix_trace_result;

void imatrix_trace_options_init(imatrix_trace_options *options);

// Runs a few tokens and writes tokens, logits and the input sums of every weight product, or
// compares them with those of a reference, of another program or version. *result is the caller's
// to imatrix_trace_result_free, also on failure.
imatrix_status imatrix_trace(const imatrix_trace_options *options, imatrix_trace_result *result,
                             imatrix_error *error);
void imatrix_trace_result_free(imatrix_trace_result *result);

// ---------------------------------------------------------------------------------------------
// Inspect

typedef struct imatrix_inspect_options {
    size_t struct_size;
    const char *model_path;   // GGUF of any architecture and type, or any shard of one; required
    const char *imatrix_path; // to quantize with, or NULL: mixes and files' keys depend on it
    uint32_t n_ctx;           // tokens of context to run with; 0 = the model's own (default)
    uint64_t fit_bytes;       // memory to run in; 0 = not asked (default)
} imatrix_inspect_options;

// Where layers differ, the least and the most.
typedef struct imatrix_range {
    uint64_t min;
    uint64_t max;
} imatrix_range;

typedef struct imatrix_type_total {
    const char *type; // "F16"
    bool is_quantized;
    uint64_t n_tensors;
    uint64_t n_weights;
    uint64_t size_bytes;
} imatrix_type_total;

// What imatrix_quantize would write by a recipe, with default options.
typedef struct imatrix_output_size {
    imatrix_recipe_info recipe;
    uint64_t file_bytes; // exact, header included; 0: this version cannot write it
    double bits_per_weight;
    uint64_t n_fallbacks;          // tensors whose rows the recipe's type does not fit
    uint64_t n_lacking_statistics; // tensors that the imatrix has nothing for
    bool requantizes;              // needs allow_requantize
    uint64_t memory_bytes;         // to run it: file, cache and buffers
    bool fits;                     // into fit_bytes
} imatrix_output_size;

// Texts are "" and numbers 0 where the model does not say. Texts are printable UTF-8, cut to fit.
typedef struct imatrix_inspection {
    char name[256];
    char architecture[64];
    char file_type[64];     // what it was quantized to: "Q4_K_M", "file type 19"
    char imatrix_name[256]; // what it was quantized with
    char missing[256];      // keys that readers expect and the file lacks: "context_length, ..."

    uint64_t n_files; // shards
    uint64_t file_bytes;
    uint64_t n_tensors;
    uint64_t n_weights;
    uint64_t n_active_weights; // that one token passes: experts it does not choose left out
    bool is_quantized;         // some tensors are
    imatrix_type_total *types; // (n_types), largest first
    size_t n_types;

    uint64_t n_layers;
    uint64_t n_embd;
    imatrix_range n_ff;
    imatrix_range n_heads;
    imatrix_range n_kv_heads;
    uint64_t key_length; // of a head; the compressed row with multi-head latent attention
    uint64_t value_length;
    uint64_t n_experts;
    uint64_t n_experts_used;
    uint64_t n_experts_shared;
    uint64_t n_ctx_train;

    char tokenizer[64]; // "gpt2", "llama"
    char pre_tokenizer[64];
    uint64_t n_vocab;
    bool has_chat_template;
    char chat_template[64]; // its family, where this version knows it

    // Why this version cannot: "" where it can.
    char collect_error[1024];
    char tokenizer_error[1024];
    char quantize_error[1024]; // of the first type that cannot be written

    // To run it, in a llama.cpp client, beside the file. docs/inspect.md says how.
    uint64_t n_ctx;
    uint64_t n_cache_layers;  // layers that keep keys and values
    uint64_t n_window_layers; // of these, within a sliding window
    uint64_t n_state_layers;  // recurrent ones
    uint64_t window;          // tokens
    uint64_t cache_bytes;     // F16 keys and values, F32 states, one sequence
    uint64_t compute_bytes;   // estimated

    imatrix_output_size *sizes; // (n_sizes), one for each recipe, largest file first
    size_t n_sizes;
    const imatrix_output_size *best; // of those that fit, the one that loses least
                                     // (docs/quality.md); NULL when none does or was asked for
} imatrix_inspection;

void imatrix_inspect_options_init(imatrix_inspect_options *options);

// Looks at a model: what it is, what this version would do with it, which sizes it would have. No
// weight is read. What is missing in the model is told in *out; an error is returned only when the
// file is no GGUF or damaged, or the imatrix is that of another model. *out is the caller's to
// imatrix_inspection_free; NULL on failure.
imatrix_status imatrix_inspect(imatrix_inspection **out, const imatrix_inspect_options *options,
                               imatrix_error *error);
void imatrix_inspection_free(imatrix_inspection *inspection);

#ifdef __cplusplus
}
#endif

#endif
