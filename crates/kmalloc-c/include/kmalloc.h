/* SPDX-License-Identifier: BSD-2-Clause */
/* kmalloc for C programs: blocks from a heap in the program, which takes its memory from the memory server. */
#ifndef KMALLOC_H
#define KMALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags. */
enum {
    /* The block's bytes are zero; with krealloc, the bytes gained are (if the block was always asked for with it). */
    KMALLOC_ZERO = 1,
};

/* Why a call failed. */
enum kmalloc_error {
    KMALLOC_OK = 0,
    KMALLOC_BAD_MESSAGE = 1,
    KMALLOC_BAD_VERSION = 2,
    KMALLOC_BAD_FLAGS = 3,
    KMALLOC_BAD_SIZE = 4,
    KMALLOC_BAD_ALIGNMENT = 5,
    KMALLOC_OVERFLOW = 6,
    KMALLOC_OVER_QUOTA = 7,
    KMALLOC_OUT_OF_MEMORY = 8,
    KMALLOC_NO_CONTIGUOUS_RUN = 9,
    KMALLOC_ADDRESS_LIMIT = 10,
    KMALLOC_OUT_OF_SLOTS = 11,
    KMALLOC_BAD_POINTER = 12,
    KMALLOC_DOUBLE_FREE = 13,
    KMALLOC_NOT_OWNER = 14,
    KMALLOC_WRONG_KIND = 15,
    KMALLOC_NOT_PERMITTED = 16,
    KMALLOC_REFUSED = 17,
    KMALLOC_STALE = 18,
    KMALLOC_BEING_CLEANED = 19,
    KMALLOC_NO_DEVICE = 20,
    KMALLOC_DEVICE_BUSY = 21,
    KMALLOC_BAD_REGISTER = 22,
    KMALLOC_SHARED_INTERRUPT = 23,
};

/* A block of at least `size` bytes, aligned to 16 bytes, and to its size if that is a power of two. NULL on failure. */
void *kmalloc(size_t size, int flags);
/* The same, aligned to `align`, a power of two. */
void *kmalloc_aligned(size_t size, size_t align, int flags);
/* A zeroed block for `count` elements of `size` bytes. NULL if the product overflows. */
void *kcalloc(size_t count, size_t size, int flags);
/* Makes a block `size` bytes long; it may move. NULL acts as kmalloc; size 0 frees. On failure the block is as it was. */
void *krealloc(void *block, size_t size, int flags);
/* The same for `count` elements of `size` bytes; refused if the product overflows. */
void *krealloc_array(void *block, size_t count, size_t size, int flags);
/* Frees a block; NULL is none. */
void kfree(void *block);
/* Bytes of a block that may be used; 0 for NULL. */
size_t ksize(const void *block);

/* Physically contiguous memory for a device, zeroed. */
void *kmalloc_dma(size_t size);
/* The same, and the address at which the device sees it. */
void *kmalloc_dma_with_address(size_t size, uint64_t *dma_addr);
/* How memory for a device is wanted. All zero: as kmalloc_dma. */
struct kmalloc_dma_options {
    size_t align;      /* of the device's address, a power of two; up to 4096 costs nothing */
    uint64_t max_addr; /* the device's last address is at or below this; 0: no limit */
    uint64_t boundary; /* a power of two of which it crosses no multiple; 0: none */
    int cache;         /* 0 coherent, 1 streaming, 2 write-combining, 3 uncached */
};
/* The same, as it is wanted; `options` and `dma_addr` may be NULL. */
void *kmalloc_dma_with_options(size_t size, const struct kmalloc_dma_options *options, uint64_t *dma_addr);
/* For streaming memory: before a device reads it, and before the program reads what a device wrote. On x86 devices see the
   caches, so only the order of accesses is kept. */
void kmalloc_dma_sync_for_device(const void *block, size_t size);
void kmalloc_dma_sync_for_cpu(const void *block, size_t size);
/* Frees memory for a device; NULL is none. */
void kfree_dma(void *block);

/* The handle of the program that has this name in the manifest; 0 if nobody alive has it. */
uint64_t kmalloc_find(const char *name);

/* Dataspaces: whole pages, zero, that several programs can map. A token names one; it is no secret. Each program has it at
   another address, so what lies in it and points into it must be an offset from its beginning, not a pointer. */

/* A dataspace of at least `size` bytes, mapped nowhere yet; its token, or 0. */
uint64_t kmalloc_dataspace_make(size_t size);
/* Lets the program with this handle attach it, to write if `writable` is not 0. 0, or an `enum kmalloc_error`. */
int kmalloc_dataspace_share(uint64_t token, uint64_t handle, int writable);
/* Maps a dataspace that this program made or was let to attach. Its bytes go to `size`, unless that is NULL. */
void *kmalloc_dataspace_attach(uint64_t token, int writable, size_t *size);
/* Unmaps it; NULL is none. 0, or an `enum kmalloc_error`. */
int kmalloc_dataspace_detach(void *address);
/* The maker lets go; with the last program that detaches it the memory goes back. 0, or an `enum kmalloc_error`. */
int kmalloc_dataspace_close(uint64_t token);

/* The reason of this thread's last failure, an `enum kmalloc_error`. */
int kmalloc_last_error(void);
/* What it means. */
const char *kmalloc_error_text(int error);

/* The names of C's own allocator, for a program that was written for it. Include this header after those of the system. */
#ifdef KMALLOC_REPLACE_MALLOC

#if defined(__has_include)
#if __has_include(<stdlib.h>) && __STDC_HOSTED__
#include <stdlib.h>
#endif
#endif

static inline void *kmalloc_malloc(size_t size) { return kmalloc(size, 0); }

static inline void *kmalloc_calloc(size_t count, size_t size) { return kcalloc(count, size, 0); }

static inline void *kmalloc_realloc(void *block, size_t size) { return krealloc(block, size, 0); }

static inline void *kmalloc_aligned_alloc(size_t align, size_t size) { return kmalloc_aligned(size, align, 0); }

#define malloc kmalloc_malloc
#define calloc kmalloc_calloc
#define realloc kmalloc_realloc
#define free kfree
#define aligned_alloc kmalloc_aligned_alloc

#endif /* KMALLOC_REPLACE_MALLOC */

#ifdef __cplusplus
}
#endif

#endif /* KMALLOC_H */
