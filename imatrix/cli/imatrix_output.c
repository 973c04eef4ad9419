// SPDX-License-Identifier: MIT

#include "imatrix/cli/imatrix_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "imatrix/cli/console.h"

// What the legacy format cannot hold, told when there is some of it.
static const struct {
    size_t offset; // of the number in imatrix_file_info
    uint64_t n_kept;
    const char *loss;
} losses[] = {
    {offsetof(imatrix_file_info, n_with_sums), 0,
     "weights lose the sums and maxima of their inputs"},
    {offsetof(imatrix_file_info, n_with_products), 0, "weights lose the products of their columns"},
    {offsetof(imatrix_file_info, n_with_experts), 0,
     "weights lose the number of tokens that each of their experts saw"},
    {offsetof(imatrix_file_info, n_unseen_experts), 0,
     "experts that saw nothing become 1 everywhere, which readers take for real"},
    {offsetof(imatrix_file_info, n_without_data), 0, "weights without data are left out"},
    {offsetof(imatrix_file_info, n_texts), 1, "texts: only the name of the last is kept"},
};

static void warn_of_losses(const imatrix_output *output, const imatrix_file *file) {
    imatrix_file_info info;
    imatrix_file_get_info(file, &info);
    for (size_t i = 0; output->format == IMATRIX_FORMAT_DAT && i < sizeof losses / sizeof *losses;
         ++i) {
        uint64_t n;
        memcpy(&n, (const char *)&info + losses[i].offset, sizeof n);
        if (n > losses[i].n_kept) {
            fprintf(stderr, "%s: the dat format holds less: %llu %s\n", output->path,
                    (unsigned long long)n, losses[i].loss);
        }
    }
}

int imatrix_output_write(const imatrix_output *output, imatrix_file *file) {
    imatrix_error error;
    imatrix_file_info info;
    struct stat written = {0};
    if (imatrix_file_round(file, output->digits, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    warn_of_losses(output, file);
    if (imatrix_file_write(file, output->path, (imatrix_format)output->format, &error) !=
        IMATRIX_OK) {
        return console_error(&error);
    }
    imatrix_file_get_info(file, &info);
    stat(output->path, &written);
    printf("%s: %s, statistics of %llu weights, %s\n", output->path, format_names[output->format],
           (unsigned long long)info.n_entries, console_bytes((uint64_t)written.st_size));
    return EXIT_SUCCESS;
}
