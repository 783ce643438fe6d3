/* SPDX-License-Identifier: BSD-2-Clause */
/* Named tests in a C program, reported as TAP for the host tool to count. */
#ifndef TAP_H
#define TAP_H

#include <stddef.h>

/* A test; NULL if it passed, else what did not hold. */
struct test {
    const char *name;
    const char *(*run)(void);
};

/* Ends the test if the condition does not hold. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return #condition;                                                                                         \
        }                                                                                                              \
    } while (0)

/* Runs the tests in order; how many failed. */
int run_tests(const struct test *tests, size_t count);

/* Whether each of `length` bytes is `value`. */
int all_are(const unsigned char *bytes, size_t length, unsigned char value);

/* The tests of containers.c, over the names of C's own allocator. */
const char *test_malloc(void);
const char *test_list(void);
const char *test_map(void);
const char *test_text(void);

#endif /* TAP_H */
