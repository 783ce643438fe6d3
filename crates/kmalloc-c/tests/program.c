/* SPDX-License-Identifier: BSD-2-Clause */
/* A C program over kmalloc.h. Prints TAP; exit status 0 = all passed. */
#include <stdio.h>
#include <string.h>
#define KMALLOC_REPLACE_MALLOC
#include "kmalloc.h"

static int number;
static int failures;

static void check(int passed, const char *name) {
    number++;
    failures += !passed;
    printf("%s %d - %s\n", passed ? "ok" : "not ok", number, name);
}

static int all(const unsigned char *bytes, size_t length, unsigned char value) {
    for (size_t index = 0; index < length; index++) {
        if (bytes[index] != value) {
            return 0;
        }
    }
    return 1;
}

static void sizes(void) {
    int aligned = 1, usable = 1;
    for (size_t size = 0; size <= 70000; size += size < 300 ? 1 : 997) {
        unsigned char *block = kmalloc(size, 0);
        usable &= block != NULL && ksize(block) >= size;
        aligned &= ((uintptr_t)block & 15) == 0;
        memset(block, 0xff, size);
        kfree(block);
    }
    check(usable, "every size");
    check(aligned, "aligned to 16");
    unsigned char *zero = kmalloc(5000, KMALLOC_ZERO);
    check(all(zero, 5000, 0), "KMALLOC_ZERO");
    kfree(zero);
    kfree(NULL);
    check(ksize(NULL) == 0, "ksize of NULL");
}

static void arrays(void) {
    check(kcalloc(SIZE_MAX / 2, 3, 0) == NULL, "kcalloc refuses a product that overflows");
    check(kmalloc_last_error() == KMALLOC_OVERFLOW, "kmalloc_last_error");
    check(strlen(kmalloc_error_text(KMALLOC_BAD_SIZE)) > 0, "kmalloc_error_text");
    unsigned char *block = kcalloc(100, 7, 0);
    check(all(block, 700, 0), "kcalloc");
    memset(block, 3, 700);
    block = krealloc(block, 100000, 0);
    check(all(block, 700, 3), "krealloc keeps the contents");
    check(krealloc_array(block, SIZE_MAX / 2, 3, 0) == NULL, "krealloc_array refuses");
    check(all(block, 700, 3), "and leaves the block alone");
    block = krealloc_array(block, 10, 10, 0);
    check(all(block, 100, 3), "krealloc_array");
    check(krealloc(block, 0, 0) == NULL, "krealloc to 0 frees");
    check(kmalloc(1, 0x4000) == NULL && kmalloc_last_error() == KMALLOC_BAD_FLAGS, "unknown flags");
    check(kmalloc(SIZE_MAX, 0) == NULL && kmalloc_last_error() == KMALLOC_BAD_SIZE, "SIZE_MAX");
    check(kmalloc(128 << 20, 0) == NULL && kmalloc_last_error() == KMALLOC_OVER_QUOTA, "over quota");
    int on_stack = 0;
    kfree(&on_stack);
    check(kmalloc_last_error() == KMALLOC_BAD_POINTER, "kfree of what is no block");
}

static void dma(void) {
    uint64_t address = 0;
    unsigned char *block = kmalloc_dma_with_address(10000, &address);
    check(block != NULL && address != 0 && all(block, 10000, 0), "kmalloc_dma_with_address");
    kfree_dma(block);
    struct kmalloc_dma_options options = {.align = 1 << 16, .cache = 1};
    block = kmalloc_dma_with_options(10000, &options, &address);
    check(block != NULL && address % (1 << 16) == 0, "kmalloc_dma_with_options");
    kmalloc_dma_sync_for_device(block, 10000);
    kmalloc_dma_sync_for_cpu(block, 10000);
    kfree_dma(block);
    options.cache = 9;
    check(kmalloc_dma_with_options(1, &options, NULL) == NULL, "a cache mode that there is not");
    block = kmalloc_dma(4096);
    check(block != NULL, "kmalloc_dma");
    kfree_dma(block);
}

static void dataspace(void) {
    size_t size = 0;
    uint64_t token = kmalloc_dataspace_make(5000);
    check(token != 0, "kmalloc_dataspace_make");
    unsigned char *here = kmalloc_dataspace_attach(token, 1, &size);
    check(here != NULL && size == 8192 && all(here, size, 0), "kmalloc_dataspace_attach");
    unsigned char *again = kmalloc_dataspace_attach(token, 0, NULL);
    memset(here, 7, size);
    check(again != NULL && all(again, size, 7), "what is written is seen");
    check(kmalloc_dataspace_share(token, 3, 1) == KMALLOC_STALE, "kmalloc_dataspace_share with nobody");
    check(kmalloc_find("nobody") == 0 && kmalloc_last_error() == KMALLOC_STALE, "kmalloc_find");
    check(kmalloc_dataspace_close(token) == 0, "kmalloc_dataspace_close");
    check(all(again, size, 7), "it stays for who has it attached");
    check(kmalloc_dataspace_attach(token, 0, NULL) == NULL && kmalloc_last_error() == KMALLOC_STALE, "a stale token");
    check(kmalloc_dataspace_detach(here) == 0 && kmalloc_dataspace_detach(again) == 0, "kmalloc_dataspace_detach");
    check(kmalloc_dataspace_detach(again) == KMALLOC_BAD_POINTER && kmalloc_dataspace_detach(NULL) == 0, "and no more");
    check(kmalloc_dataspace_make(0) == 0 && kmalloc_last_error() == KMALLOC_BAD_SIZE, "a dataspace of no bytes");
}

static void replaced(void) {
    void *(*function)(size_t) = malloc;
    unsigned char *block = function(10);
    check(block != NULL && ksize(block) == 16, "malloc is kmalloc");
    block = realloc(block, 1000);
    check(ksize(block) == 1024, "realloc");
    free(block);
    block = aligned_alloc(512, 1024);
    check(((uintptr_t)block & 511) == 0, "aligned_alloc");
    free(block);
    block = calloc(3, 5);
    check(all(block, 15, 0), "calloc");
    free(block);
}

int main(void) {
    sizes();
    arrays();
    dma();
    dataspace();
    replaced();
    printf("1..%d\n", number);
    return failures != 0;
}
