// SPDX-License-Identifier: MIT
//
// A report is made of names that others have chosen: of files, tensors, models. A place that prints
// one of them and forgets to escape it is a hole, so no place has to remember: markup can only come
// from a format, which is a literal of ours, and data only through a conversion, which escapes.
// Building with a helper for each element was tried and dropped: the calls nest as deeply as the
// markup and are harder to read than it.

#include "imatrix/cli/report/html.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static void print_escaped(FILE *page, const char *text) {
    static const char special[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (; *text != '\0'; ++text) {
        const char *found = strchr(special, *text);
        if (found != NULL) {
            fputs(entities[found - special], page);
        } else {
            fputc(*text, page);
        }
    }
}

// Prints the argument that one conversion takes, of which `format` is behind the %. Returns what
// follows the conversion.
static const char *print_argument(FILE *page, const char *format, va_list *arguments) {
    int precision = 6;
    if (*format == '.') {
        precision = format[1] - '0';
        format += 2;
    }
    switch (*format) {
    case '%':
        fputc('%', page);
        break;
    case 's':
        print_escaped(page, va_arg(*arguments, const char *));
        break;
    case 'd':
        fprintf(page, "%d", va_arg(*arguments, int));
        break;
    case 'z':
        fprintf(page, "%zu", va_arg(*arguments, size_t));
        ++format;
        break;
    case 'f':
        fprintf(page, "%.*f", precision, va_arg(*arguments, double));
        break;
    case 'g':
        fprintf(page, "%.*g", precision, va_arg(*arguments, double));
        break;
    default:
        assert(false && "a conversion that html_print knows");
    }
    return format + 1;
}

void html_print(FILE *page, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    while (*format != '\0') {
        const size_t n = strcspn(format, "%");
        fwrite(format, 1, n, page);
        format += n;
        if (*format == '%') {
            format = print_argument(page, format + 1, &arguments);
        }
    }
    va_end(arguments);
}
