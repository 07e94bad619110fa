/* Counts words, and sums in memory before it emits. One program for map, combine and reduce. */
#include "apollo.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1 << 20, WORDS_LIMIT = SLOTS / 2, TEXT_LIMIT = 32 << 20 };

typedef struct {
    uint64_t hash, count;
    uint32_t at, size; /* of the word in `text`; a size of 0 is a free slot */
} slot;

static slot slots[SLOTS];
static char text[TEXT_LIMIT];
static uint32_t text_size, words;

static void emit_number(apollo *job, const char *key, size_t size, uint64_t number) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    apollo_emit(job, key, size, digits, (size_t)length);
}

static void emit_all(apollo *job) {
    for (uint32_t i = 0; i < SLOTS; i++)
        if (slots[i].size) emit_number(job, text + slots[i].at, slots[i].size, slots[i].count);
    memset(slots, 0, sizeof slots);
    text_size = words = 0;
}

static void count(apollo *job, const char *word, uint32_t size, uint64_t hash) {
    hash ^= hash >> 32;
    uint32_t i = hash % SLOTS;
    for (; slots[i].size; i = (i + 1) % SLOTS) {
        if (slots[i].hash == hash && slots[i].size == size && !memcmp(text + slots[i].at, word, size)) {
            slots[i].count++;
            return;
        }
    }
    if (size > TEXT_LIMIT) {
        apollo_emit(job, word, size, "1", 1);
        return;
    }
    if (words == WORDS_LIMIT || text_size + size > TEXT_LIMIT) {
        emit_all(job);
        i = hash % SLOTS;
    }
    memcpy(text + text_size, word, size);
    slots[i] = (slot){hash, 1, text_size, size};
    text_size += size;
    words++;
}

static int is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void map(apollo *job) {
    apollo_block block;
    while (apollo_next_block(job, &block)) {
        const char *at = block.data, *end = at + block.size; /* lines: a word ends at the latest with its line */
        while (at < end) {
            uint64_t hash = 14695981039346656037u; /* FNV-1a */
            const char *word = at;
            for (; at < end && !is_space(*at); at++) hash = (hash ^ (unsigned char)*at) * 1099511628211u;
            if (at > word) count(job, word, (uint32_t)(at - word), hash);
            at++;
        }
    }
    emit_all(job);
}

static void reduce(apollo *job) {
    apollo_bytes key, value;
    while (apollo_next_group(job, &key)) {
        uint64_t sum = 0;
        while (apollo_next_value(job, &value)) {
            uint64_t number = 0;
            for (size_t i = 0; i < value.size; i++) number = number * 10 + (uint64_t)(value.data[i] - '0');
            sum += number;
        }
        emit_number(job, key.data, key.size, sum);
    }
}

int main(void) {
    apollo *job = apollo_open();
    if (strcmp(apollo_role(job), "map")) reduce(job);
    else map(job);
    return apollo_close(job);
}
