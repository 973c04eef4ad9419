// SPDX-License-Identifier: MIT
//
// Runs a fuzz target over files, and over the files in directories, given as arguments: the corpus
// as an ordinary test, without libFuzzer. Each input lies in a block of exactly its size.

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    const int ok = file != NULL && data != NULL && fread(data, 1, size, file) == size;
    if (ok) {
        LLVMFuzzerTestOneInput(data, size);
    } else {
        fprintf(stderr, "%s: cannot read it\n", path);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(data);
    return ok ? 1 : -1;
}

static int run_path(const char *path);

static int run_directory(const char *path) {
    int n_run = 0;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        fprintf(stderr, "%s: cannot read the directory\n", path);
        return -1;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && n_run >= 0; entry = readdir(dir)) {
        char child[PATH_MAX];
        if (entry->d_name[0] != '.') {
            snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
            const int n = run_path(child);
            n_run = n < 0 ? n : n_run + n;
        }
    }
    closedir(dir);
    return n_run;
}

// The number of inputs run, or -1.
static int run_path(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) {
        fprintf(stderr, "%s: cannot find it\n", path);
        return -1;
    }
    return S_ISDIR(info.st_mode) ? run_directory(path) : run_file(path, (size_t)info.st_size);
}

int main(int argc, char **argv) {
    int n_run = 0;
    for (int i = 1; i < argc; ++i) {
        const int n = run_path(argv[i]);
        if (n < 0) {
            return 1;
        }
        n_run += n;
    }
    printf("%d inputs\n", n_run);
    return n_run > 0 ? 0 : 1;
}
