#include "apollo.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the protocol is little-endian, and this library copies nothing to turn it around"
#endif

enum { VERSION = 1 };
enum { HELLO = 1, INPUT, RECORDS, GROUPS, PAIRS, OUTPUT, COUNTER, STATUS, END, ERROR };
enum { FRAMING_LINES = 0, FLAG_INEXACT_OFFSETS = 1, FLAG_CONTINUES = 1 };
enum { BATCH_BYTES = 1 << 20, BATCH_PAIRS = 1 << 16 };

/* By this a worker knows that the program speaks frames. */
__attribute__((used)) const char apollo_artifact_marker[] = "apollo-artifact:frames/1";

typedef struct {
    char *data;
    size_t size, capacity;
} buffer;

typedef struct {
    uint32_t body_size, type;
} header;

struct apollo {
    int fd;
    uint64_t taken;

    buffer body; /* of the frame that was read last */
    buffer settings;
    buffer input;

    apollo_block block; /* what is left of the current one */

    /* The current GROUPS frame: what is left of its columns. */
    int at_end, has_frame, in_group;
    uint32_t groups_left, group_values_left;
    const uint32_t *key_sizes, *counts, *value_sizes;
    const char *keys, *values;
    buffer key; /* of a group that may outlive its frame */

    uint32_t pairs;
    uint32_t emitted_key_sizes[BATCH_PAIRS], emitted_value_sizes[BATCH_PAIRS];
    buffer emitted_keys, emitted_values;
};

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("apollo: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void reserve(buffer *b, size_t capacity) {
    if (capacity <= b->capacity) return;
    size_t larger = b->capacity * 2 > capacity ? b->capacity * 2 : capacity;
    b->data = realloc(b->data, larger);
    if (!b->data) die("no memory for %zu bytes", larger);
    b->capacity = larger;
}

static void append(buffer *b, const void *content, size_t size) {
    reserve(b, b->size + size);
    if (size) memcpy(b->data + b->size, content, size);
    b->size += size;
}

/* Reading. */

static void read_exactly(apollo *job, void *target, size_t size) {
    for (char *at = target; size;) {
        ssize_t got = read(job->fd, at, size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) die("reading from the worker: %s", strerror(errno));
        if (got == 0) die("the worker closed the connection");
        at += got;
        size -= (size_t)got;
    }
}

static uint32_t read_frame(apollo *job) {
    header h;
    read_exactly(job, &h, sizeof h);
    reserve(&job->body, (size_t)h.body_size + 1);
    read_exactly(job, job->body.data, h.body_size);
    job->body.size = h.body_size;
    return h.type;
}

static void expect(int right, const char *what) {
    if (!right) die("the worker sent a %s frame that this version of the protocol does not allow", what);
}

static uint64_t sum(const uint32_t *numbers, uint32_t count) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) total += numbers[i];
    return total;
}

/* Read HELLO and keep its settings: as in PAIRS after two numbers. */
static void read_hello(apollo *job) {
    uint32_t head[3];
    expect(read_frame(job) == HELLO && job->body.size >= sizeof head, "first");
    memcpy(head, job->body.data, sizeof head);
    if (head[0] != VERSION) apollo_fail(job, "this program speaks version 1 of the artifact protocol");
    const uint32_t *sizes = (const uint32_t *)job->body.data + 3;
    uint64_t count = head[2];
    expect(job->body.size >= sizeof head + 8 * count, "HELLO");
    expect(job->body.size == sizeof head + 8 * count + sum(sizes, (uint32_t)(2 * count)), "HELLO");
    /* For apollo_setting, as NAME\0VALUE\0 after each other. */
    const char *key = (const char *)(sizes + 2 * count), *value = key + sum(sizes, (uint32_t)count);
    for (uint64_t i = 0; i < count; i++) {
        append(&job->settings, key, sizes[i]);
        append(&job->settings, "", 1);
        append(&job->settings, value, sizes[count + i]);
        append(&job->settings, "", 1);
        key += sizes[i];
        value += sizes[count + i];
    }
}

static int load_block(apollo *job) {
    while (!job->at_end) {
        uint32_t type = read_frame(job);
        if (type == END) {
            job->at_end = 1;
        } else if (type == INPUT) {
            job->input.size = 0;
            append(&job->input, job->body.data, job->body.size);
            append(&job->input, "", 1);
        } else {
            uint16_t framing, flags;
            uint32_t count;
            expect(type == RECORDS && job->body.size >= 16, "RECORDS");
            memcpy(&framing, job->body.data, 2);
            memcpy(&flags, job->body.data + 2, 2);
            memcpy(&count, job->body.data + 4, 4);
            memcpy(&job->block.offset, job->body.data + 8, 8);
            size_t lengths_size = framing == FRAMING_LINES ? 0 : 4 * (size_t)count;
            expect(job->body.size >= 16 + lengths_size, "RECORDS");
            job->block.lengths = framing == FRAMING_LINES ? NULL : (const uint32_t *)(job->body.data + 16);
            job->block.count = count;
            job->block.data = job->body.data + 16 + lengths_size;
            job->block.size = job->body.size - 16 - lengths_size;
            job->block.exact_offsets = !(flags & FLAG_INEXACT_OFFSETS);
            expect(!job->block.lengths || sum(job->block.lengths, count) == job->block.size, "RECORDS");
            if (count) return 1;
        }
    }
    return 0;
}

int apollo_next_block(apollo *job, apollo_block *block) {
    if (!job->block.count && !load_block(job)) return 0;
    *block = job->block;
    job->taken += block->count;
    job->block.count = 0;
    return 1;
}

int apollo_next_record(apollo *job, apollo_bytes *record) {
    apollo_block *block = &job->block;
    if (!block->count && !load_block(job)) return 0;
    size_t step;
    if (block->lengths) {
        record->size = step = *block->lengths++;
    } else {
        const char *end = memchr(block->data, '\n', block->size);
        expect(end != NULL, "RECORDS");
        record->size = (size_t)(end - block->data);
        step = record->size + 1;
    }
    record->data = block->data;
    block->data += step;
    block->size -= step;
    block->offset += step;
    block->count--;
    job->taken++;
    return 1;
}

const char *apollo_input(const apollo *job) { return job->input.size ? job->input.data : ""; }

/* Read the next GROUPS frame; returns whether its first group goes on from the frame before. */
static int load_groups(apollo *job) {
    job->has_frame = 0;
    uint32_t head[3], type = read_frame(job);
    if (type == END) {
        job->at_end = 1;
        return 0;
    }
    expect(type == GROUPS && job->body.size >= sizeof head, "GROUPS");
    memcpy(head, job->body.data, sizeof head);
    uint64_t groups = head[0], values = head[2], columns = sizeof head + 8 * groups + 4 * values;
    expect(job->body.size >= columns, "GROUPS");
    job->key_sizes = (const uint32_t *)job->body.data + 3;
    job->counts = job->key_sizes + groups;
    job->value_sizes = job->counts + groups;
    job->keys = (const char *)(job->value_sizes + values);
    uint64_t keys_size = sum(job->key_sizes, head[0]);
    expect(job->body.size == columns + keys_size + sum(job->value_sizes, head[2]), "GROUPS");
    expect(sum(job->counts, head[0]) == values, "GROUPS");
    job->values = job->keys + keys_size;
    job->groups_left = head[0];
    expect(groups > 0, "GROUPS");
    job->has_frame = 1;
    return head[1] & FLAG_CONTINUES;
}

/* Make the frame's next group the current one. */
static void enter_group(apollo *job, apollo_bytes *key) {
    key->data = job->keys;
    key->size = *job->key_sizes++;
    job->keys += key->size;
    job->group_values_left = *job->counts++;
    job->in_group = 1;
    if (--job->groups_left == 0) { /* it may go on in the next frame, which overwrites this one */
        job->key.size = 0;
        append(&job->key, key->data, key->size);
        key->data = job->key.data;
        job->has_frame = 0;
    }
}

int apollo_next_value(apollo *job, apollo_bytes *value) {
    while (job->in_group && !job->group_values_left) {
        if (job->has_frame || job->at_end || !load_groups(job)) {
            job->in_group = 0;
        } else {
            apollo_bytes same = {job->keys, *job->key_sizes};
            job->keys += same.size;
            job->key_sizes++;
            job->group_values_left = *job->counts++;
            job->has_frame = --job->groups_left > 0;
        }
    }
    if (!job->in_group) return 0;
    value->data = job->values;
    value->size = *job->value_sizes++;
    job->values += value->size;
    job->group_values_left--;
    return 1;
}

int apollo_next_group(apollo *job, apollo_bytes *key) {
    apollo_bytes unread;
    while (apollo_next_value(job, &unread)) continue;
    if (!job->has_frame && !job->at_end) load_groups(job);
    if (job->at_end) return 0;
    enter_group(job, key);
    job->taken++;
    return 1;
}

/* Writing. */

static void write_all(apollo *job, struct iovec *parts, int count) {
    while (count) {
        if (!parts->iov_len) {
            parts++, count--;
            continue;
        }
        ssize_t sent = writev(job->fd, parts, count);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) die("writing to the worker: %s", strerror(errno));
        for (size_t left = (size_t)sent; left;) {
            size_t step = left < parts->iov_len ? left : parts->iov_len;
            parts->iov_base = (char *)parts->iov_base + step;
            parts->iov_len -= step;
            left -= step;
            if (!parts->iov_len) parts++, count--;
        }
    }
}

static struct iovec part(const void *content, size_t size) { return (struct iovec){(void *)content, size}; }

static void write_frame(apollo *job, uint32_t type, const void *head, size_t head_size, const void *rest, size_t size) {
    if (head_size + size > UINT32_MAX) die("a frame holds less than 4 GiB");
    header h = {(uint32_t)(head_size + size), type};
    struct iovec parts[] = {part(&h, sizeof h), part(head, head_size), part(rest, size)};
    write_all(job, parts, 3);
}

static void write_pairs(apollo *job, uint32_t count, const uint32_t *key_sizes, const uint32_t *value_sizes,
                        struct iovec keys, struct iovec values) {
    uint32_t head[3] = {(uint32_t)(4 + 8 * (size_t)count + keys.iov_len + values.iov_len), PAIRS, count};
    struct iovec parts[] = {part(head, sizeof head), part(key_sizes, 4 * (size_t)count),
                            part(value_sizes, 4 * (size_t)count), keys, values};
    write_all(job, parts, 5);
}

static void flush(apollo *job) {
    if (!job->pairs) return;
    write_pairs(job, job->pairs, job->emitted_key_sizes, job->emitted_value_sizes,
                part(job->emitted_keys.data, job->emitted_keys.size),
                part(job->emitted_values.data, job->emitted_values.size));
    job->pairs = 0;
    job->emitted_keys.size = job->emitted_values.size = 0;
}

void apollo_emit(apollo *job, const void *key, size_t key_size, const void *value, size_t value_size) {
    if (key_size > UINT32_MAX / 4 || value_size > UINT32_MAX / 4) apollo_fail(job, "a key or value of 1 GiB or more");
    if (job->pairs == BATCH_PAIRS ||
        job->emitted_keys.size + job->emitted_values.size + key_size + value_size > BATCH_BYTES)
        flush(job);
    uint32_t sizes[2] = {(uint32_t)key_size, (uint32_t)value_size};
    if (key_size + value_size > BATCH_BYTES) {
        write_pairs(job, 1, &sizes[0], &sizes[1], part(key, key_size), part(value, value_size));
        return;
    }
    job->emitted_key_sizes[job->pairs] = sizes[0];
    job->emitted_value_sizes[job->pairs] = sizes[1];
    job->pairs++;
    append(&job->emitted_keys, key, key_size);
    append(&job->emitted_values, value, value_size);
}

void apollo_write(apollo *job, const void *content, size_t size) {
    flush(job);
    for (const char *at = content; size;) {
        size_t step = size < BATCH_BYTES ? size : BATCH_BYTES;
        write_frame(job, OUTPUT, NULL, 0, at, step);
        at += step;
        size -= step;
    }
}

void apollo_counter(apollo *job, const char *group, const char *name, int64_t increment) {
    size_t group_size = strlen(group);
    if (!group_size || group_size > 255 || !*name || strlen(name) > 255)
        apollo_fail(job, "a counter's group and name have 1 to 255 bytes each");
    char head[12 + 255];
    uint32_t size = (uint32_t)group_size;
    memcpy(head, &increment, 8);
    memcpy(head + 8, &size, 4);
    memcpy(head + 12, group, group_size);
    write_frame(job, COUNTER, head, 12 + group_size, name, strlen(name));
}

void apollo_status(apollo *job, const char *message) { write_frame(job, STATUS, NULL, 0, message, strlen(message)); }

void apollo_fail(apollo *job, const char *message) {
    write_frame(job, ERROR, NULL, 0, message, strlen(message));
    die("%s", message);
}

/* Beginning and end. */

apollo *apollo_open(void) {
    const char *path = getenv("APOLLO_SOCKET");
    if (!path) die("this is an Apollo program: give it to `apollo run --mapper` or `--reducer`");
    apollo *job = calloc(1, sizeof *job);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!job || strlen(path) >= sizeof address.sun_path) die("cannot use the socket %s", path);
    strcpy(address.sun_path, path);
    job->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (job->fd < 0 || connect(job->fd, (struct sockaddr *)&address, sizeof address))
        die("connecting to %s: %s", path, strerror(errno));
    int kernel_buffer = BATCH_BYTES; /* asked for; the kernel may give less */
    setsockopt(job->fd, SOL_SOCKET, SO_SNDBUF, &kernel_buffer, sizeof kernel_buffer);
    signal(SIGPIPE, SIG_IGN); /* a worker that left is told by write */
    static const char hello[] = "\1\0\0\0\0\0\0\0\1\0\0\0\3\0\0\0\7\0\0\0sdkc/0.1.0";
    write_frame(job, HELLO, NULL, 0, hello, sizeof hello - 1);
    read_hello(job);
    return job;
}

const char *apollo_setting(const apollo *job, const char *name) {
    const char *end = job->settings.data + job->settings.size;
    for (const char *at = job->settings.data; at < end;) {
        const char *value = at + strlen(at) + 1;
        if (!strcmp(at, name)) return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *apollo_role(const apollo *job) {
    const char *role = apollo_setting(job, "role");
    return role ? role : "";
}

int apollo_close(apollo *job) {
    flush(job);
    write_frame(job, END, &job->taken, sizeof job->taken, NULL, 0);
    close(job->fd);
    buffer *buffers[] = {&job->body, &job->settings, &job->input, &job->key, &job->emitted_keys, &job->emitted_values};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]->data);
    free(job);
    return 0;
}
