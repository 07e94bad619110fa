/* Apollo mappers and reducers in C: the frames protocol, version 1 (docs/artifact-protocol.md).
 *
 * Link apollo.c into the program, or include it. One thread; needs libc only. Whatever goes wrong with the worker ends
 * the process with a message on standard error, so no call returns an error.
 *
 *     apollo *job = apollo_open();
 *     apollo_bytes record;
 *     while (apollo_next_record(job, &record))
 *         apollo_emit(job, record.data, record.size, "1", 1);
 *     return apollo_close(job);
 */
#ifndef APOLLO_H
#define APOLLO_H

#include <stddef.h>
#include <stdint.h>

#define APOLLO_VERSION "0.1.0"

typedef struct apollo apollo;

/* Bytes that the library owns; any content, not terminated. */
typedef struct {
    const char *data;
    size_t size;
} apollo_bytes;

/* Whole records of one input object. Lines (`lengths` is NULL) each end with one '\n'; otherwise `lengths` cuts `data`.
 * `offset` is the first record's byte offset in the object; later ones can be counted from it if `exact_offsets`. */
typedef struct {
    const char *data;
    size_t size;
    uint32_t count;
    const uint32_t *lengths;
    uint64_t offset;
    int exact_offsets;
} apollo_block;

/* Connect to the worker that started this process. */
apollo *apollo_open(void);

/* "map", "combine" or "reduce". */
const char *apollo_role(const apollo *job);

/* A parameter of the job, as given by `--param NAME=VALUE`. NULL when it is not set. */
const char *apollo_param(const apollo *job, const char *name);

/* A setting of the attempt: "job_id", "task_id", "attempt", "partition". NULL when it is not set. */
const char *apollo_setting(const apollo *job, const char *name);

/* Mapper: the next record, without its line end, valid until the next call; 0 after the last. */
int apollo_next_record(apollo *job, apollo_bytes *record);

/* Mapper: the rest of the current block, or the next one, valid until the next call; 0 after the last. */
int apollo_next_block(apollo *job, apollo_block *block);

/* Mapper: the URL of the current record's object. */
const char *apollo_input(const apollo *job);

/* Mapper: the byte offset in the object of the current record, or of the current block's first one; -1 where it cannot
 * be counted. */
int64_t apollo_offset(const apollo *job);

/* Combiner, reducer: the next key, valid until the next call; 0 after the last. Unread values are skipped. */
int apollo_next_group(apollo *job, apollo_bytes *key);

/* Combiner, reducer: the key's next value, valid until the next call; 0 after the last. */
int apollo_next_value(apollo *job, apollo_bytes *value);

/* An output pair. */
void apollo_emit(apollo *job, const void *key, size_t key_size, const void *value, size_t value_size);

/* Bytes that go to the output part as they are; for reducers, and mappers of a map-only job. */
void apollo_write(apollo *job, const void *content, size_t size);

/* Add to a counter of the job; names of 1 to 255 bytes of UTF-8. */
void apollo_counter(apollo *job, const char *group, const char *name, int64_t increment);

/* A line about what the program is doing, of at most 4,096 bytes. */
void apollo_status(apollo *job, const char *message);

/* Tell the worker why the program gives up, and exit with status 1. */
void apollo_fail(apollo *job, const char *message);

/* Send what is left and say that the output is complete; returns 0, for main to return. */
int apollo_close(apollo *job);

#endif
