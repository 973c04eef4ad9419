// SPDX-License-Identifier: MIT
//
// imatrix check: whether an imatrix serves a model.

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/imatrix.h"

enum { N_LISTED = 8 };

typedef struct check_args {
    uint64_t min_tokens;
    bool hash;
    bool json;
} check_args;

#define FIELD(name) offsetof(check_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_U64, "min-tokens", 0, FIELD(min_tokens), "N", "experts that saw fewer tokens are reported [16]", 1, UINT32_MAX},
    {OPTION_TRUE, "hash", 0, FIELD(hash), NULL, "read all of the model to see whether it is the one collected on"},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};

// What a finding means when quantizing.
static const struct {
    const char *key;
    bool hurts;
    bool is_counted; // n of n_of tell something
    const char *title;
    const char *meaning;
} kinds[IMATRIX_N_FINDING_KINDS] = {
    [IMATRIX_FINDING_SHAPE] = {"shape", true, true, "weights of another shape", "values here of those in the model: quantize refuses them;\nthis is the imatrix of another model"},
    [IMATRIX_FINDING_MISSING] = {"missing", true, false, "weights without statistics", "their columns will count alike, a clear loss at 2 and 3 bits,\nand llama-quantize refuses some types"},
    [IMATRIX_FINDING_UNSEEN] = {"unseen", true, false, "weights whose statistics have seen nothing", "as if they had none"},
    [IMATRIX_FINDING_NO_TOKENS] = {"no_tokens", true, true, "weights with experts that saw no token", "these take the mean importance of the others;\ncalibrate on more text, or collect --all-experts"},
    [IMATRIX_FINDING_STARVED] = {"starved", true, true, "weights with experts that saw few tokens", "these lean on the mean of the others (quantize --prior-tokens);\ncalibrate on more text, or collect --all-experts"},
    [IMATRIX_FINDING_ONE_COUNT] = {"one_count", false, false, "weights with one count for all experts", "which of them saw few tokens cannot be told"},
    [IMATRIX_FINDING_ZEROS] = {"zeros", false, true, "weights with columns that only ever saw zeros", "errors there will cost nothing"},
    [IMATRIX_FINDING_FOREIGN] = {"foreign", false, false, "weights that the model does not have", "they will not be used"},
    [IMATRIX_FINDING_MODEL] = {"model", false, false, "model files that these statistics are of, other than this", "another version of it, or another model"},
};
// clang-format on

static const char *const examples[] = {
    "imatrix check model.imatrix model-f16.gguf",
    "imatrix check moe.imatrix moe-bf16.gguf --min-tokens 100",
    NULL,
};

typedef struct verdict {
    const char *path;
    const char *model_path;
    imatrix_check_result result;
    bool hurts;
} verdict;

static size_t count_kind(const imatrix_check_result *result, imatrix_finding_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < result->n_findings; ++i) {
        n += result->findings[i].kind == kind;
    }
    return n;
}

// ---- for people --------------------------------------------------------------------------------

static void print_finding(const imatrix_finding *finding) {
    printf("           %s", finding->name);
    if (kinds[finding->kind].is_counted) {
        printf(": %llu of %llu", (unsigned long long)finding->n, (unsigned long long)finding->n_of);
    }
    printf("\n");
}

// Every line of `text` behind the title's margin.
static void print_meaning(const char *text) {
    static const char margin[] = "\n         ";
    printf("%s", margin);
    for (; *text != '\0'; ++text) {
        if (*text == '\n') {
            printf("%s", margin);
        } else {
            putchar(*text);
        }
    }
    printf("\n");
}

static void print_kind(const imatrix_check_result *result, imatrix_finding_kind kind) {
    const size_t n = count_kind(result, kind);
    size_t n_listed = 0;
    if (n == 0) {
        return;
    }
    printf("  %s  %s: %zu", kinds[kind].hurts ? "hurts" : "note ", kinds[kind].title, n);
    print_meaning(kinds[kind].meaning);
    for (size_t i = 0; i < result->n_findings && n_listed < N_LISTED; ++i) {
        if (result->findings[i].kind == kind) {
            print_finding(&result->findings[i]);
            ++n_listed;
        }
    }
    if (n > n_listed) {
        printf("           and %zu more (--json lists all)\n", n - n_listed);
    }
}

static void print_verdict(const verdict *v) {
    printf("%s for %s: statistics for %llu of the %llu weights in layers\n", v->path, v->model_path,
           (unsigned long long)v->result.n_covered, (unsigned long long)v->result.n_weights);
    for (int kind = 0; kind < IMATRIX_N_FINDING_KINDS; ++kind) {
        print_kind(&v->result, (imatrix_finding_kind)kind);
    }
    printf(v->hurts ? "Quantizing with it would lose something.\n" : "Nothing that would hurt.\n");
}

// ---- for programs ------------------------------------------------------------------------------

static void print_json(const verdict *v) {
    json_t *findings = json_array();
    for (size_t i = 0; i < v->result.n_findings; ++i) {
        const imatrix_finding *finding = &v->result.findings[i];
        json_array_append_new(
            findings, json_pack("{s:s, s:s, s:I, s:I, s:b}", "kind", kinds[finding->kind].key,
                                "name", finding->name, "n", (json_int_t)finding->n, "n_of",
                                (json_int_t)finding->n_of, "hurts", kinds[finding->kind].hurts));
    }
    console_print_json(json_pack("{s:s, s:s, s:I, s:I, s:b, s:o}", "imatrix", v->path, "model",
                                 v->model_path, "n_weights", (json_int_t)v->result.n_weights,
                                 "n_covered", (json_int_t)v->result.n_covered, "hurts", v->hurts,
                                 "findings", findings));
}

// ---- the command -------------------------------------------------------------------------------

static int check(const check_args *args, const imatrix_file *file, verdict *v) {
    imatrix_error error;
    if (imatrix_file_check(file, v->model_path, args->min_tokens, args->hash, &v->result, &error) !=
        IMATRIX_OK) {
        return console_error(&error);
    }
    for (int kind = 0; kind < IMATRIX_N_FINDING_KINDS; ++kind) {
        v->hurts = v->hurts ||
                   (kinds[kind].hurts && count_kind(&v->result, (imatrix_finding_kind)kind) > 0);
    }
    (args->json ? print_json : print_verdict)(v);
    free(v->result.findings);
    return v->hurts ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_check(const cli_command *command, int argc, char **argv) {
    check_args args = {.min_tokens = 16};
    int exit_status;
    imatrix_error error;
    imatrix_file *file;
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n < 0) {
        return exit_status;
    }
    if (n != 2) {
        return usage_error(command, "needs an imatrix and a model, got %d files", n);
    }
    if (imatrix_file_open(&file, argv[1], &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    verdict v = {.path = argv[1], .model_path = argv[2]};
    exit_status = check(&args, file, &v);
    imatrix_file_close(file);
    return exit_status;
}

const cli_command check_command = {
    .name = "check",
    .summary = "tell whether an imatrix serves a model: exit status 1 when quantizing would suffer",
    .usage = "IMATRIX MODEL.gguf [--min-tokens N] [--hash] [--json]",
    .examples = examples,
    .options = rows,
    .run = run_check,
};
