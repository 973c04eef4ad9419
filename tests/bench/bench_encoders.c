// SPDX-License-Identifier: MIT
//
// Speed and error of the encoders on one thread, by type, effort and instruction set, and beside
// them, when asked for, llama.cpp's.
//
// The error is what an imatrix promises to keep small: with x the weights, x̂ what the blocks decode
// to and q the importance of the columns,
//
//     Σ q (x - x̂)² / Σ q x²,
//
// in double, whatever weighting the encoder was asked for; over several matrices it is the mean.
//
// A clock that changes its pace, or a neighbour that takes a share of the caches, must not decide
// who is faster. So all contenders of a type encode the same rows in turns, several times over; a
// speed is the median of the turns, and a ratio of speeds the median of the ratios within a turn.
// What counts is the processor time of the thread.

#include <dlfcn.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_data.h"
#include "formats/memory.h"
#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"

enum { MAX_CONTENDERS = 1 + IMX_EFFORT_COUNT * IMX_ISA_COUNT, MAX_TURNS = 99 };

// llama.cpp's C interface; `importance` (n_cols) may be NULL.
typedef size_t ggml_quantize_fn(int type, const float *rows, void *blocks, int64_t first_weight,
                                int64_t n_rows, int64_t n_cols, const float *importance);

typedef struct settings {
    bool types[IMX_TYPE_COUNT];
    bool efforts[IMX_EFFORT_COUNT];
    bool isas[IMX_ISA_COUNT];
    imx_weighting weighting;
    float sigma;
    size_t n_rows;
    size_t n_cols;
    const char *model_path;
    const char *imatrix_path;
    const char *tensor;
    ggml_quantize_fn *ggml;
    int n_turns;
    bool json;
} settings;

typedef struct contender {
    const char *effort;
    const char *isa;
    const imx_encoder *encoder; // NULL: llama.cpp's
    imx_encode_options options;
    double speeds[MAX_TURNS]; // million weights per second
    double error;             // mean over the matrices
} contender;

// What all contenders of a type do.
typedef struct workload {
    uint32_t type;
    const bench_data *data;
    size_t n_matrices; // whose rows fit the type
    size_t n_weights;  // in those
    uint8_t *blocks;   // of the largest
} workload;

static const char *const effort_names[IMX_EFFORT_COUNT] = {"default", "best"};
static const char *const weighting_names[IMX_WEIGHTING_COUNT] = {"auto", "plain", "sqrt"};

// ---------------------------------------------------------------------------------------------
// Options

static const char help[] =
    "usage: bench_encoders [options]\n"
    "  --types LIST            types, separated by commas [all quantized]\n"
    "  --effort LIST           default, best or all [default]\n"
    "  --isa LIST              plain, avx2, avx512 or all [the best of this processor]\n"
    "  --weighting NAME        auto, plain or sqrt [auto]\n"
    "  --importance-sigma S    importance of column j: exp(S·N(0,1)); 0 = no imatrix [1]\n"
    "  --rows N                rows of Gaussian weights, or at most of each real matrix [256]\n"
    "  --cols N                columns of Gaussian weights [4096]\n"
    "  --model FILE            real matrices instead, those whose statistics are in\n"
    "  --imatrix FILE          this imatrix, and\n"
    "  --tensor TEXT           whose name contains TEXT\n"
    "  --ggml FILE             llama.cpp's libggml-base.so, to measure beside ours\n"
    "  --repeats N             turns, 1 to 99 [5]\n"
    "  --json                  one JSON object a line\n";

#define DIE(...) (fprintf(stderr, "bench_encoders: " __VA_ARGS__), fputc('\n', stderr), exit(2))

static size_t number(const char *text, size_t highest) {
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*end != '\0' || value < 1 || value > highest) {
        DIE("'%s' is not a number from 1 to %zu", text, highest);
    }
    return (size_t)value;
}

static size_t index_of(const char *name, const char *const *names, size_t n_names) {
    for (size_t i = 0; i < n_names; ++i) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    DIE("'%s' is none of the names that --help lists", name);
}

// Marks the members of a comma-separated list, or all.
static void choose(char *list, const char *const *names, size_t n_names, bool *chosen) {
    memset(chosen, 0, n_names * sizeof *chosen);
    if (strcmp(list, "all") == 0) {
        memset(chosen, true, n_names * sizeof *chosen);
        return;
    }
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
        chosen[index_of(name, names, n_names)] = true;
    }
}

static void choose_types(char *list, bool types[IMX_TYPE_COUNT]) {
    memset(types, 0, IMX_TYPE_COUNT * sizeof *types);
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
        uint32_t type;
        if (!imx_type_from_name(name, &type) || imx_encoder_of(type) == NULL) {
            DIE("no encoder for type '%s'", name);
        }
        types[type] = true;
    }
}

static void choose_isas(char *list, bool isas[IMX_ISA_COUNT]) {
    const char *names[IMX_ISA_COUNT];
    for (int isa = 0; isa < IMX_ISA_COUNT; ++isa) {
        names[isa] = imx_isa_name((imx_isa)isa);
    }
    choose(list, names, IMX_ISA_COUNT, isas);
}

static ggml_quantize_fn *load_ggml(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL) {
        DIE("%s", dlerror());
    }
    ggml_quantize_fn *quantize = NULL;
    *(void **)&quantize = dlsym(library, "ggml_quantize_chunk");
    if (quantize == NULL) {
        DIE("%s: %s", path, dlerror());
    }
    return quantize;
}

static void init_settings(settings *set) {
    *set = (settings){
        .efforts = {[IMX_EFFORT_DEFAULT] = true},
        .sigma = 1.0f,
        .n_rows = 256,
        .n_cols = 4096,
        .tensor = "",
        .n_turns = 5,
    };
    for (uint32_t type = 0; type < IMX_TYPE_COUNT; ++type) {
        const imx_type_traits *traits = imx_type_traits_of(type);
        set->types[type] = traits != NULL && traits->is_quantized && imx_encoder_of(type) != NULL;
    }
    for (int isa = IMX_ISA_COUNT - 1; isa >= 0; --isa) {
        if (imx_encoder_for(IMX_TYPE_Q4_0, (imx_isa)isa) != NULL) {
            set->isas[isa] = true;
            return;
        }
    }
}

static void set_option(settings *set, int option, char *value) {
    // clang-format off
    switch (option) {
    case 't': choose_types(value, set->types); break;
    case 'e': choose(value, effort_names, IMX_EFFORT_COUNT, set->efforts); break;
    case 'i': choose_isas(value, set->isas); break;
    case 'w': set->weighting = (imx_weighting)index_of(value, weighting_names, IMX_WEIGHTING_COUNT); break;
    case 's': set->sigma = strtof(value, NULL); break;
    case 'r': set->n_rows = number(value, 1u << 24); break;
    case 'c': set->n_cols = number(value, 1u << 24); break;
    case 'm': set->model_path = value; break;
    case 'x': set->imatrix_path = value; break;
    case 'n': set->tensor = value; break;
    case 'g': set->ggml = load_ggml(value); break;
    case 'p': set->n_turns = (int)number(value, MAX_TURNS); break;
    case 'j': set->json = true; break;
    case 'h': fputs(help, stdout); exit(0);
    default: fputs(help, stderr); exit(2);
    }
    // clang-format on
}

static void parse_options(settings *set, int argc, char **argv) {
    // clang-format off
    static const struct option rows[] = {
        {"types", required_argument, NULL, 't'},     {"effort", required_argument, NULL, 'e'},
        {"isa", required_argument, NULL, 'i'},       {"weighting", required_argument, NULL, 'w'},
        {"rows", required_argument, NULL, 'r'},      {"cols", required_argument, NULL, 'c'},
        {"model", required_argument, NULL, 'm'},     {"imatrix", required_argument, NULL, 'x'},
        {"tensor", required_argument, NULL, 'n'},    {"ggml", required_argument, NULL, 'g'},
        {"repeats", required_argument, NULL, 'p'},   {"importance-sigma", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},            {"help", no_argument, NULL, 'h'},
        {0},
    };
    // clang-format on
    init_settings(set);
    for (int option; (option = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        set_option(set, option, optarg);
    }
    if (optind < argc || (set->model_path == NULL) != (set->imatrix_path == NULL)) {
        fputs(help, stderr);
        exit(2);
    }
}

// ---------------------------------------------------------------------------------------------
// Measuring

static double thread_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void encode(const contender *c, ggml_quantize_fn *ggml, uint32_t type, const bench_matrix *m,
                   uint8_t *blocks) {
    if (c->encoder == NULL) {
        ggml((int)type, m->weights, blocks, 0, (int64_t)m->n_rows, (int64_t)m->n_cols,
             m->importance);
        return;
    }
    const imx_importance importance = {
        m->importance != NULL ? IMX_IMPORTANCE_DIAGONAL : IMX_IMPORTANCE_UNIFORM, m->importance};
    const uint64_t row_bytes = imx_type_row_bytes(type, m->n_cols);
    for (size_t r = 0; r < m->n_rows; ++r) {
        c->encoder->encode_row(m->weights + r * m->n_cols, m->n_cols, &importance, &c->options,
                               blocks + r * row_bytes);
    }
}

static double relative_error(uint32_t type, const bench_matrix *m, const uint8_t *blocks) {
    float *decoded = NULL; // (n_rows, n_cols)
    imx_error err;
    bench_check(imx_alloc_aligned(&decoded, m->n_rows * m->n_cols, sizeof *decoded, &err), &err);
    imx_type_traits_of(type)->decode(blocks, decoded, m->n_rows * m->n_cols);
    double error = 0.0;
    double power = 0.0;
    for (size_t i = 0; i < m->n_rows * m->n_cols; ++i) {
        const double x = (double)m->weights[i];
        const double w = m->importance != NULL ? (double)m->importance[i % m->n_cols] : 1.0;
        error += w * (x - (double)decoded[i]) * (x - (double)decoded[i]);
        power += w * x * x;
    }
    free(decoded);
    return power > 0.0 ? error / power : 0.0;
}

// Encodes all matrices once and notes the speed; the errors do not change between turns.
static void run_turn(contender *c, const settings *set, const workload *work, int turn) {
    double seconds = 0.0;
    for (size_t i = 0; i < work->data->n_matrices; ++i) {
        const bench_matrix *m = &work->data->matrices[i];
        if (imx_type_row_bytes(work->type, m->n_cols) > 0) {
            const double start = thread_seconds();
            encode(c, set->ggml, work->type, m, work->blocks);
            seconds += thread_seconds() - start;
            if (turn == 0) {
                c->error += relative_error(work->type, m, work->blocks) / (double)work->n_matrices;
            }
        }
    }
    c->speeds[turn] = 1e-6 * (double)work->n_weights / seconds;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double values[MAX_TURNS], int n) {
    double sorted[MAX_TURNS];
    memcpy(sorted, values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
    return sorted[n / 2];
}

// ---------------------------------------------------------------------------------------------
// Reporting

static void print_heading(const settings *set) {
    if (!set->json) {
        printf("%-7s %-9s %-7s %9s %12s%s\n", "type", "effort", "isa", "Mw/s", "error",
               set->ggml != NULL ? "   speed   error, as ratios to ggml" : "");
    }
}

static void print_contender(const settings *set, uint32_t type, const contender *c,
                            const contender *rival) {
    printf(set->json ? "{\"type\": \"%s\", \"effort\": \"%s\", \"isa\": \"%s\", "
                       "\"million_weights_per_second\": %.3f, \"error\": %.6e"
                     : "%-7s %-9s %-7s %9.2f %12.5e",
           imx_type_name(type), c->effort, c->isa, median(c->speeds, set->n_turns), c->error);
    if (set->ggml != NULL) {
        double ratios[MAX_TURNS];
        for (int i = 0; i < set->n_turns; ++i) {
            ratios[i] = c->speeds[i] / rival->speeds[i];
        }
        printf(set->json ? ", \"speed_ratio\": %.4f, \"error_ratio\": %.5f" : " %7.3f %7.4f",
               median(ratios, set->n_turns), c->error / rival->error);
    }
    puts(set->json ? "}" : "");
    fflush(stdout);
}

// Those who encode `type`; llama.cpp comes first, if at all.
static int find_contenders(contender contenders[MAX_CONTENDERS], const settings *set,
                           uint32_t type) {
    int n = 0;
    if (set->ggml != NULL) {
        contenders[n++] = (contender){.effort = "-", .isa = "ggml"};
    }
    for (int effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
        for (int isa = 0; isa < IMX_ISA_COUNT; ++isa) {
            const imx_encoder *encoder = imx_encoder_for(type, (imx_isa)isa);
            if (set->efforts[effort] && set->isas[isa] && encoder != NULL) {
                contenders[n++] = (contender){
                    .effort = effort_names[effort],
                    .isa = imx_isa_name((imx_isa)isa),
                    .encoder = encoder,
                    .options = {.effort = (imx_effort)effort, .weighting = set->weighting},
                };
            }
        }
    }
    return n;
}

// The matrices whose rows fit the type.
static workload find_workload(uint32_t type, const bench_data *data) {
    workload found = {.type = type, .data = data};
    uint64_t most_bytes = 0;
    for (size_t i = 0; i < data->n_matrices; ++i) {
        const bench_matrix *m = &data->matrices[i];
        const uint64_t size_bytes = m->n_rows * imx_type_row_bytes(type, m->n_cols);
        if (size_bytes > 0) {
            ++found.n_matrices;
            found.n_weights += m->n_rows * m->n_cols;
            most_bytes = size_bytes > most_bytes ? size_bytes : most_bytes;
        }
    }
    imx_error err;
    bench_check(imx_alloc_zeroed(&found.blocks, most_bytes, 1, &err), &err);
    return found;
}

static void bench_type(const settings *set, uint32_t type, const bench_data *data) {
    contender contenders[MAX_CONTENDERS];
    const int n = find_contenders(contenders, set, type);
    const workload work = find_workload(type, data);
    for (int turn = 0; turn < set->n_turns && work.n_matrices > 0; ++turn) {
        for (int i = 0; i < n; ++i) {
            run_turn(&contenders[i], set, &work, turn);
        }
    }
    for (int i = 0; i < n && work.n_matrices > 0; ++i) {
        print_contender(set, type, &contenders[i], &contenders[0]);
    }
    free(work.blocks);
}

int main(int argc, char **argv) {
    settings set;
    parse_options(&set, argc, argv);
    bench_data data =
        set.model_path != NULL
            ? bench_data_from_model(set.model_path, set.imatrix_path, set.tensor, set.n_rows)
            : bench_data_synthetic(set.n_rows, set.n_cols, set.sigma);
    print_heading(&set);
    for (uint32_t type = 0; type < IMX_TYPE_COUNT; ++type) {
        if (set.types[type]) {
            bench_type(&set, type, &data);
        }
    }
    bench_data_free(&data);
    return 0;
}
