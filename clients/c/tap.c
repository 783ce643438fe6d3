/* SPDX-License-Identifier: BSD-2-Clause */
/* The reporting of tap.h. */
#include "tap.h"

#include "kmalloc_process.h"

static void print_number(size_t number) {
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    kmalloc_print(digits + at);
}

int run_tests(const struct test *tests, size_t count) {
    int failed = 0;
    kmalloc_print("1..");
    print_number(count);
    kmalloc_print("\n");
    for (size_t index = 0; index < count; index++) {
        const char *failure = tests[index].run();
        kmalloc_print(failure == NULL ? "ok " : "not ok ");
        print_number(index + 1);
        kmalloc_print(" - ");
        kmalloc_print(tests[index].name);
        if (failure != NULL) {
            kmalloc_print(": ");
            kmalloc_print(failure);
            failed++;
        }
        kmalloc_print("\n");
    }
    return failed;
}

int all_are(const unsigned char *bytes, size_t length, unsigned char value) {
    for (size_t index = 0; index < length; index++) {
        if (bytes[index] != value) {
            return 0;
        }
    }
    return 1;
}
