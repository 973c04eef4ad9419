// SPDX-License-Identifier: MIT
//
// The type maps of six real models, as llama.cpp's tests/snapshots have them (2026-08-18): for each
// file type the tensors that do not get its default type. The files name no shapes; row lengths
// come from the published configurations below. A tensor that no section of a file mentions has the
// default type everywhere and is not tested.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "plan_fixture.h"
#include "quant/plan/plan.h"

typedef struct schema_model {
    const char *file;
    const char *architecture;
    struct {
        const char *suffix;
        uint64_t n_cols; // 0 = n_ff
    } rows[8];           // tensors whose rows are not n_embd long
} schema_model;

static const schema_model models[] = {
    {"deepseek-v3.1",
     "deepseek2",
     {{"attn_k_b.weight", 128},
      {"attn_q_b.weight", 1536},
      {"attn_output.weight", 16384},
      {"ffn_down.weight", 0},
      {"ffn_down_exps.weight", 2048},
      {"ffn_down_shexp.weight", 2048}}},
    {"gemma-3-4b-it", "gemma3", {{"attn_output.weight", 2048}, {"ffn_down.weight", 0}}},
    {"gpt-oss-120b", "gpt-oss", {{"attn_output.weight", 4096}, {"ffn_down_exps.weight", 0}}},
    {"meta-llama-3.1-70b-instruct", "llama", {{"ffn_down.weight", 0}}},
    {"qwen3-0.6b", "qwen3", {{"attn_output.weight", 2048}, {"ffn_down.weight", 0}}},
    {"qwen3-14b", "qwen3", {{"ffn_down.weight", 0}}},
};

typedef struct schema_header {
    uint32_t n_embd;
    uint32_t n_ff;
    model_numbers numbers;
} schema_header;

static uint64_t columns_of(const schema_model *about, const schema_header *header,
                           const char *name) {
    const size_t n_rows = sizeof about->rows / sizeof *about->rows;
    for (size_t i = 0; i < n_rows && about->rows[i].suffix != NULL; ++i) {
        const char *found = strstr(name, about->rows[i].suffix);
        if (found != NULL) {
            return about->rows[i].n_cols > 0 ? about->rows[i].n_cols : header->n_ff;
        }
    }
    return header->n_embd;
}

// Experts, and the heads of compressed attention, lie behind one another in one tensor.
static uint64_t matrices_of(const schema_header *header, const char *name) {
    const bool is_per_head =
        strstr(name, "attn_k_b.weight") != NULL || strstr(name, "attn_v_b.weight") != NULL;
    const bool is_per_expert = strstr(name, "_exps.weight") != NULL;
    return is_per_head ? header->numbers.n_heads : is_per_expert ? header->numbers.n_experts : 1;
}

static FILE *open_schema(const schema_model *about) {
    const char *shared = getenv("IMATRIX_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/reference/type-selection/%s.schema",
             shared != NULL ? shared : "", about->file);
    return fopen(path, "r");
}

static schema_header read_header(FILE *file) {
    schema_header header = {0};
    char line[256];
    assert_non_null(fgets(line, sizeof line, file)); // the name
    assert_non_null(fgets(line, sizeof line, file));
    const int n_read = sscanf(
        line, "# n_embd=%u, n_ff=%u, n_vocab=%*u, n_layer=%u, n_head=%u, n_head_kv=%u, n_expert=%u",
        &header.n_embd, &header.n_ff, &header.numbers.n_layers, &header.numbers.n_heads,
        &header.numbers.n_kv_heads, &header.numbers.n_experts);
    assert_true(n_read >= 5);
    return header;
}

static size_t find(const model_fixture *model, const char *name) {
    size_t i = 0;
    while (i < model->gguf.n_tensors && strcmp(model->tensors[i].name, name) != 0) {
        ++i;
    }
    return i;
}

// A model of all the tensors that any section names.
static model_fixture *gather_model(const schema_model *about, FILE *file,
                                   const schema_header *header) {
    model_fixture *model = model_open(about->architecture, header->numbers);
    char line[256];
    char name[128];
    char type[32];
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '[' && sscanf(line, "%127s %31s", name, type) == 2 &&
            find(model, name) == model->gguf.n_tensors) {
            model_add(model, name, IMX_TYPE_F32, columns_of(about, header, name), 2,
                      matrices_of(header, name));
        }
    }
    return model;
}

// One section, whose heading has just been read, against the plan of its recipe. Leaves the file
// before the next heading.
static void check_section(const model_fixture *model, FILE *file, const imx_recipe *recipe,
                          const char *default_type) {
    uint32_t expected[MODEL_MAX_TENSORS];
    uint32_t type = 0;
    char line[256];
    char name[128];
    char type_name[32];
    assert_true(imx_type_from_name(default_type, &type));
    assert_int_equal(imx_recipe_default_type(recipe), type);
    for (size_t i = 0; i < model->gguf.n_tensors; ++i) {
        expected[i] = type;
    }
    long position = ftell(file);
    while (fgets(line, sizeof line, file) != NULL && line[0] != '[') {
        if (sscanf(line, "%127s %31s", name, type_name) == 2) {
            assert_true(imx_type_from_name(type_name, &expected[find(model, name)]));
        }
        position = ftell(file);
    }
    fseek(file, position, SEEK_SET);
    imx_plan *plan;
    assert_int_equal(plan_by_recipe(&plan, &model->gguf, recipe, NULL, NULL), IMX_OK);
    for (size_t i = 0; i < plan->n_items; ++i) {
        if (plan->items[i].type != expected[i]) {
            fail_msg("%s: %s is not to be %s", imx_recipe_name(recipe), model->tensors[i].name,
                     imx_type_traits_of(plan->items[i].type)->name);
        }
    }
    imx_plan_free(plan);
}

static void check_model(const schema_model *about) {
    FILE *file = open_schema(about);
    if (file == NULL) {
        print_message("%s.schema not found under IMATRIX_SHARED\n", about->file);
        skip();
    }
    const schema_header header = read_header(file);
    const long start = ftell(file);
    model_fixture *model = gather_model(about, file, &header);
    size_t n_checked = 0;
    char line[256];
    char recipe_name[32];
    char default_type[32];
    fseek(file, start, SEEK_SET);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "[%31[^]]] %31s", recipe_name, default_type) == 2) {
            const imx_recipe *recipe = imx_recipe_find(recipe_name);
            if (recipe != NULL) {
                check_section(model, file, recipe, default_type);
                ++n_checked;
            }
        }
    }
    assert_int_equal(n_checked, 23); // all but the eleven of one to three bits in IQ types
    model_close(model);
    fclose(file);
}

static void deepseek(void **state) {
    (void)state;
    check_model(&models[0]);
}

static void gemma3(void **state) {
    (void)state;
    check_model(&models[1]);
}

static void gpt_oss(void **state) {
    (void)state;
    check_model(&models[2]);
}

static void llama_70b(void **state) {
    (void)state;
    check_model(&models[3]);
}

static void qwen3_small(void **state) {
    (void)state;
    check_model(&models[4]);
}

static void qwen3_large(void **state) {
    (void)state;
    check_model(&models[5]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deepseek),  cmocka_unit_test(gemma3),      cmocka_unit_test(gpt_oss),
        cmocka_unit_test(llama_70b), cmocka_unit_test(qwen3_small), cmocka_unit_test(qwen3_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
