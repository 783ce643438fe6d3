/* SPDX-License-Identifier: BSD-2-Clause */
/* A list, a map and a growing text, as they would be written for any C library: only the names of its allocator are known
   here, and kmalloc.h says what these mean. */
#define KMALLOC_REPLACE_MALLOC
#include "kmalloc.h"

#include "tap.h"

const char *test_malloc(void) {
    void *(*function)(size_t) = malloc;
    unsigned char *block = function(10);
    CHECK(block != NULL && ksize(block) >= 10);
    block = realloc(block, 1000);
    CHECK(block != NULL && ksize(block) >= 1000);
    free(block);
    free(NULL);
    block = aligned_alloc(512, 1024);
    CHECK(block != NULL && ((uintptr_t)block & 511) == 0);
    free(block);
    block = calloc(3, 5);
    CHECK(block != NULL && all_are(block, 15, 0));
    free(block);
    CHECK(calloc(SIZE_MAX, 2) == NULL);
    return NULL;
}

struct node {
    struct node *next;
    uint32_t value;
};

/* Merges two sorted lists. */
static struct node *merge(struct node *left, struct node *right) {
    struct node *first = NULL;
    struct node **end = &first;
    while (left != NULL && right != NULL) {
        struct node **smaller = left->value <= right->value ? &left : &right;
        *end = *smaller;
        end = &(*smaller)->next;
        *smaller = *end;
    }
    *end = left != NULL ? left : right;
    return first;
}

static struct node *sort(struct node *list) {
    if (list == NULL || list->next == NULL) {
        return list;
    }
    struct node *middle = list;
    for (struct node *end = list->next; end != NULL && end->next != NULL; end = end->next->next) {
        middle = middle->next;
    }
    struct node *right = middle->next;
    middle->next = NULL;
    return merge(sort(list), sort(right));
}

const char *test_list(void) {
    enum { LENGTH = 20000 };
    struct node *list = NULL;
    uint32_t value = 1;
    uint64_t sum = 0;
    for (int count = 0; count < LENGTH; count++) {
        struct node *node = malloc(sizeof *node);
        CHECK(node != NULL);
        value = value * 1664525 + 1013904223;
        sum += value;
        *node = (struct node){list, value};
        list = node;
    }
    list = sort(list);
    int length = 0;
    uint32_t before = 0;
    while (list != NULL) {
        struct node *next = list->next;
        CHECK(before <= list->value);
        before = list->value;
        sum -= list->value;
        length++;
        free(list);
        list = next;
    }
    CHECK(length == LENGTH && sum == 0);
    return NULL;
}

/* A map from numbers other than 0 to numbers, with open addressing; it doubles when it is half full. */
struct map {
    uint64_t (*entries)[2];
    size_t capacity;
    size_t length;
};

static uint64_t *map_find(const struct map *map, uint64_t key) {
    size_t at = (key * 0x9e3779b97f4a7c15) >> 20;
    for (;; at++) {
        uint64_t *entry = map->entries[at & (map->capacity - 1)];
        if (entry[0] == key || entry[0] == 0) {
            return entry;
        }
    }
}

static int map_grow(struct map *map) {
    struct map larger = {NULL, map->capacity == 0 ? 8 : map->capacity * 2, map->length};
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL) {
        return 0;
    }
    for (size_t at = 0; at < map->capacity; at++) {
        if (map->entries[at][0] != 0) {
            uint64_t *entry = map_find(&larger, map->entries[at][0]);
            entry[0] = map->entries[at][0];
            entry[1] = map->entries[at][1];
        }
    }
    free(map->entries);
    *map = larger;
    return 1;
}

const char *test_map(void) {
    enum { KEYS = 30000 };
    struct map map = {NULL, 0, 0};
    for (uint64_t key = 1; key <= KEYS; key++) {
        if (map.length * 2 >= map.capacity) {
            CHECK(map_grow(&map));
        }
        uint64_t *entry = map_find(&map, key * key);
        CHECK(entry[0] == 0);
        entry[0] = key * key;
        entry[1] = key;
        map.length++;
    }
    for (uint64_t key = 1; key <= KEYS; key++) {
        CHECK(map_find(&map, key * key)[1] == key);
    }
    CHECK(map_find(&map, 2)[0] == 0);
    free(map.entries);
    return NULL;
}

const char *test_text(void) {
    enum { LENGTH = 3000000 };
    char *text = NULL;
    size_t capacity = 0;
    for (size_t length = 0; length < LENGTH; length++) {
        if (length == capacity) {
            capacity += capacity / 2 + 8;
            char *longer = realloc(text, capacity);
            CHECK(longer != NULL);
            text = longer;
        }
        text[length] = (char)('a' + length % 23);
    }
    for (size_t at = 0; at < LENGTH; at++) {
        CHECK(text[at] == (char)('a' + at % 23));
    }
    free(text);
    return NULL;
}
