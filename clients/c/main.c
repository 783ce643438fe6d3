/* SPDX-License-Identifier: BSD-2-Clause */
/* Every function of kmalloc.h, from C, on the resident heap. */
#include "kmalloc.h"

#include "kmalloc_process.h"
#include "tap.h"

static char **arguments;
static int argument_count;

static void fill(unsigned char *bytes, size_t length, unsigned char value) {
    for (size_t index = 0; index < length; index++) {
        bytes[index] = value;
    }
}

static int is(const char *text, const char *other) {
    while (*text != '\0' && *text == *other) {
        text++;
        other++;
    }
    return *text == *other;
}

static const char *test_arguments(void) {
    CHECK(argument_count == 3);
    CHECK(is(arguments[0], ""));
    CHECK(is(arguments[1], "one"));
    CHECK(is(arguments[2], "two words"));
    CHECK(arguments[3] == NULL);
    arguments[1][0] = 'O';
    CHECK(is(arguments[1], "One"));
    return NULL;
}

static const char *test_sizes(void) {
    for (size_t size = 0; size <= 1200000; size += size < 1100 ? 1 : size / 7) {
        unsigned char *block = kmalloc(size, 0);
        CHECK(block != NULL);
        CHECK(((uintptr_t)block & 15) == 0);
        CHECK(ksize(block) >= size);
        fill(block, ksize(block), 0xff);
        kfree(block);
    }
    for (size_t size = 16; size <= 4096; size *= 2) {
        void *block = kmalloc(size, 0);
        CHECK(((uintptr_t)block & (size - 1)) == 0);
        kfree(block);
        block = kmalloc_aligned(24, size, 0);
        CHECK(((uintptr_t)block & (size - 1)) == 0);
        kfree(block);
    }
    CHECK(kmalloc_aligned(16, 24, 0) == NULL && kmalloc_last_error() == KMALLOC_BAD_ALIGNMENT);
    return NULL;
}

static const char *test_zero(void) {
    static const size_t sizes[] = {1, 16, 100, 4096, 16384, 100000, 3000000};
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        size_t size = sizes[index];
        unsigned char *block = kmalloc(size, 0);
        CHECK(block != NULL);
        fill(block, size, 0xa5);
        kfree(block);
        block = kmalloc(size, KMALLOC_ZERO);
        CHECK(block != NULL && all_are(block, size, 0));
        fill(block, size, 0xa5);
        kfree(block);
        block = kcalloc(size, 1, 0);
        CHECK(block != NULL && all_are(block, size, 0));
        kfree(block);
    }
    return NULL;
}

static const char *test_krealloc(void) {
    static const size_t sizes[] = {1, 16, 17, 500, 5000, 40000, 600000, 2500000};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    for (size_t from = 0; from < COUNT; from++) {
        for (size_t to = 0; to < COUNT; to++) {
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            unsigned char *block = kmalloc(sizes[from], 0);
            CHECK(block != NULL);
            fill(block, sizes[from], (unsigned char)(from + 1));
            block = krealloc(block, sizes[to], 0);
            CHECK(block != NULL && ksize(block) >= sizes[to]);
            CHECK(all_are(block, kept, (unsigned char)(from + 1)));
            kfree(block);
        }
    }
    unsigned char *block = krealloc(NULL, 100, KMALLOC_ZERO);
    CHECK(block != NULL && all_are(block, 100, 0));
    block = krealloc(block, 5000, KMALLOC_ZERO);
    CHECK(block != NULL && all_are(block, 5000, 0));
    fill(block, 5000, 7);
    CHECK(krealloc(block, SIZE_MAX, 0) == NULL && all_are(block, 5000, 7));
    CHECK(krealloc(block, 0, 0) == NULL);
    return NULL;
}

static const char *test_arrays(void) {
    CHECK(kcalloc(SIZE_MAX / 2, 3, 0) == NULL && kmalloc_last_error() == KMALLOC_OVERFLOW);
    unsigned char *block = krealloc_array(NULL, 30, 10, 0);
    CHECK(block != NULL && ksize(block) >= 300);
    fill(block, 300, 9);
    CHECK(krealloc_array(block, SIZE_MAX / 2, 3, 0) == NULL && kmalloc_last_error() == KMALLOC_OVERFLOW);
    CHECK(all_are(block, 300, 9));
    block = krealloc_array(block, 3000, 10, 0);
    CHECK(block != NULL && ksize(block) >= 30000 && all_are(block, 300, 9));
    CHECK(krealloc_array(block, 0, 10, 0) == NULL);
    return NULL;
}

static const char *test_misuse(void) {
    int on_stack = 0;
    kfree(NULL);
    kfree_dma(NULL);
    CHECK(ksize(NULL) == 0);
    kfree(&on_stack);
    CHECK(kmalloc_last_error() == KMALLOC_BAD_POINTER);
    CHECK(kmalloc(1, 0x4000) == NULL && kmalloc_last_error() == KMALLOC_BAD_FLAGS);
    CHECK(kmalloc(SIZE_MAX, 0) == NULL && kmalloc_last_error() == KMALLOC_BAD_SIZE);
    CHECK(kmalloc((size_t)1 << 30, 0) == NULL && kmalloc_last_error() == KMALLOC_OVER_QUOTA);
    /* What failed has cost nothing: there is as much as before. */
    void *block = kmalloc((size_t)8 << 20, 0);
    CHECK(block != NULL);
    kfree_dma(block);
    CHECK(kmalloc_last_error() != KMALLOC_OK && ksize(block) >= (size_t)8 << 20);
    kfree(block);
    return NULL;
}

static const char *test_errors(void) {
    for (int error = KMALLOC_OK; error <= KMALLOC_SHARED_INTERRUPT; error++) {
        const char *text = kmalloc_error_text(error);
        CHECK(text != NULL && *text != '\0' && !is(text, kmalloc_error_text(-1)));
        for (int other = KMALLOC_OK; other < error; other++) {
            CHECK(!is(text, kmalloc_error_text(other)));
        }
    }
    CHECK(is(kmalloc_error_text(KMALLOC_SHARED_INTERRUPT + 1), kmalloc_error_text(-1)));
    return NULL;
}

static const char *test_dma(void) {
    for (int round = 0; round < 2; round++) {
        uint64_t address = 0;
        unsigned char *block = kmalloc_dma_with_address(20000, &address);
        CHECK(block != NULL && address != 0 && (address & 4095) == 0);
        CHECK(((uintptr_t)block & 4095) == 0 && all_are(block, 20000, 0));
        fill(block, 20000, 0x5a);
        kfree_dma(block);
    }
    struct kmalloc_dma_options options = {.align = 1 << 16, .max_addr = (1 << 28) - 1, .boundary = 1 << 20, .cache = 1};
    uint64_t low = 0;
    void *block = kmalloc_dma_with_options(5 * 4096, &options, &low);
    CHECK(block != NULL && low % (1 << 16) == 0 && low + 5 * 4096 - 1 <= options.max_addr);
    kmalloc_dma_sync_for_device(block, 5 * 4096);
    kmalloc_dma_sync_for_cpu(block, 5 * 4096);
    kfree_dma(block);
    options.max_addr = 4095;
    CHECK(kmalloc_dma_with_options(4096, &options, &low) == NULL && kmalloc_last_error() == KMALLOC_ADDRESS_LIMIT);
    block = kmalloc_dma(1);
    CHECK(block != NULL);
    kfree_dma(block);
    CHECK(kmalloc_dma((size_t)1 << 30) == NULL && kmalloc_last_error() == KMALLOC_OVER_QUOTA);
    return NULL;
}

/* Blocks of random sizes, each filled with a byte of its own that must still be there when it is resized or freed. */
static const char *test_dataspace(void) {
    size_t size = 0;
    uint64_t token = kmalloc_dataspace_make(5000);
    CHECK(token != 0);
    unsigned char *here = kmalloc_dataspace_attach(token, 1, &size);
    CHECK(here != NULL && size == 8192);
    unsigned char *there = kmalloc_dataspace_attach(token, 0, NULL);
    CHECK(there != NULL && there != here);
    fill(here, size, 0x5a);
    CHECK(there[0] == 0x5a && there[size - 1] == 0x5a);
    CHECK(kmalloc_find("nobody") == 0 && kmalloc_last_error() == KMALLOC_STALE);
    CHECK(kmalloc_dataspace_share(token, kmalloc_find("keeper"), 0) == 0);
    CHECK(kmalloc_dataspace_share(token, 1, 0) == KMALLOC_STALE);
    kfree(here);
    CHECK(kmalloc_last_error() == KMALLOC_WRONG_KIND);
    CHECK(kmalloc_dataspace_close(token) == 0);
    CHECK(kmalloc_dataspace_attach(token, 0, NULL) == NULL && kmalloc_last_error() == KMALLOC_STALE);
    CHECK(there[0] == 0x5a && there[size - 1] == 0x5a);
    CHECK(kmalloc_dataspace_detach(here) == 0);
    CHECK(kmalloc_dataspace_detach(there) == 0);
    CHECK(kmalloc_dataspace_detach(NULL) == 0);
    CHECK(kmalloc_dataspace_detach(there) == KMALLOC_DOUBLE_FREE);
    return NULL;
}

static const char *test_churn(void) {
    enum { BLOCKS = 1000, STEPS = 100000 };
    static unsigned char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    uint64_t random = 0x9e3779b97f4a7c15;
    for (int step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t at = random % BLOCKS;
        size_t size = (random >> 20) % ((random >> 50) % 64 == 0 ? 30000 : 300);
        unsigned char mark = (unsigned char)(at * 7 + 1);
        CHECK(blocks[at] == NULL || all_are(blocks[at], sizes[at], mark));
        if (blocks[at] != NULL && step % 3 != 0) {
            kfree(blocks[at]);
            blocks[at] = NULL;
            continue;
        }
        unsigned char *block = krealloc(blocks[at], size + 1, 0);
        CHECK(block != NULL);
        fill(block, size + 1, mark);
        blocks[at] = block;
        sizes[at] = size + 1;
    }
    for (int at = 0; at < BLOCKS; at++) {
        kfree(blocks[at]);
        blocks[at] = NULL;
    }
    return NULL;
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"c_arguments", test_arguments},
        {"c_kmalloc_sizes", test_sizes},
        {"c_kmalloc_zero_and_kcalloc", test_zero},
        {"c_krealloc", test_krealloc},
        {"c_arrays", test_arrays},
        {"c_misuse_is_refused", test_misuse},
        {"c_error_texts", test_errors},
        {"c_kmalloc_dma", test_dma},
        {"c_dataspace", test_dataspace},
        {"c_churn", test_churn},
        {"c_malloc", test_malloc},
        {"c_malloc_list", test_list},
        {"c_malloc_map", test_map},
        {"c_malloc_text", test_text},
    };
    arguments = argv;
    argument_count = argc;
    return run_tests(tests, sizeof tests / sizeof *tests);
}
