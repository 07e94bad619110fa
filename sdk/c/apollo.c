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

enum { VERSION = 1, BODY_LIMIT_BYTES = 512 << 20, MESSAGE_LIMIT_BYTES = 4096, NAME_LIMIT_BYTES = 255 };
static const uint64_t OFFSET_LIMIT = 1ull << 62; /* with what a frame holds, it still fits an int64_t */
enum { HELLO = 1, INPUT, RECORDS, GROUPS, PAIRS, OUTPUT, COUNTER, STATUS, END, ERROR };
enum { FRAMING_LINES = 0, FRAMING_SIZED = 1, FLAG_INEXACT_OFFSETS = 1, FLAG_CONTINUES = 1 };
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

/* A decoded HELLO. */
typedef struct {
    uint32_t version, count;
    const uint32_t *key_sizes, *value_sizes;
    const char *keys, *values;
} hello_frame;

/* A decoded GROUPS frame, or what is left of its columns. */
typedef struct {
    int continues; /* its first group is the last one of the frame before */
    uint32_t groups;
    const uint32_t *key_sizes, *counts, *value_sizes;
    const char *keys, *values;
} groups_frame;

struct apollo {
    int fd;
    uint64_t taken;

    buffer body; /* of the frame that was read last */
    buffer settings;
    buffer input;

    apollo_block block; /* what is left of the current one */
    int64_t record_offset;

    groups_frame groups;
    int at_end, has_groups, in_group; /* has_groups: of `groups` some are left that were not begun */
    uint32_t values_left;             /* of the current group, in this frame */
    buffer key;                       /* of the current group, which may outlive its frame */

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

/* Decoding. A decoder takes a frame's body, any bytes at all but aligned to four, and returns NULL or what is wrong. */

static uint64_t sum(const uint32_t *numbers, uint64_t count) {
    uint64_t total = 0;
    for (uint64_t i = 0; i < count; i++) total += numbers[i];
    return total;
}

static const char *decode_header(const header *h) {
    if (!((h->type >= HELLO && h->type <= GROUPS) || h->type == END)) return "a type that is none of a worker's";
    if (h->body_size > BODY_LIMIT_BYTES) return "more than 512 MiB";
    return NULL;
}

static const char *decode_hello(const char *body, size_t size, hello_frame *hello) {
    uint32_t head[3];
    if (size < sizeof head) return "a body that is too short";
    memcpy(head, body, sizeof head);
    hello->version = head[0];
    if (hello->version != VERSION) return "another version of the protocol";
    hello->count = head[2];
    uint64_t columns = sizeof head + 8 * (uint64_t)hello->count;
    if (columns > size) return "more lengths than it has room for";
    hello->key_sizes = (const uint32_t *)(body + sizeof head);
    hello->value_sizes = hello->key_sizes + hello->count;
    uint64_t keys_size = sum(hello->key_sizes, hello->count);
    uint64_t values_size = sum(hello->value_sizes, hello->count);
    if (columns + keys_size + values_size != size) return "lengths that do not add up to its size";
    hello->keys = body + columns;
    hello->values = hello->keys + keys_size;
    return NULL;
}

static uint64_t count_lines(const char *data, size_t size) {
    uint64_t lines = 0;
    const char *end = data + size;
    for (const char *at = data; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++) lines++;
    return lines;
}

static const char *decode_records(const char *body, size_t size, apollo_block *block) {
    uint16_t head[2];
    if (size < 16) return "a body that is too short";
    memcpy(head, body, sizeof head);
    memcpy(&block->count, body + 4, 4);
    memcpy(&block->offset, body + 8, 8);
    if (block->offset >= OFFSET_LIMIT) return "an offset that no object has";
    block->exact_offsets = !(head[1] & FLAG_INEXACT_OFFSETS);
    block->lengths = NULL;
    uint64_t columns = 16;
    if (head[0] == FRAMING_SIZED) {
        columns += 4 * (uint64_t)block->count;
        if (columns > size) return "more lengths than it has room for";
        block->lengths = (const uint32_t *)(body + 16);
        if (columns + sum(block->lengths, block->count) != size) return "lengths that do not add up to its size";
    } else if (head[0] != FRAMING_LINES) {
        return "an unknown framing";
    }
    block->data = body + columns;
    block->size = size - columns;
    if (block->lengths) return NULL;
    if (block->size && body[size - 1] != '\n') return "a line without its end";
    return count_lines(block->data, block->size) == block->count ? NULL : "another number of lines than it counts";
}

static const char *decode_groups(const char *body, size_t size, groups_frame *frame) {
    uint32_t head[3];
    if (size < sizeof head) return "a body that is too short";
    memcpy(head, body, sizeof head);
    uint64_t groups = head[0], values = head[2], columns = sizeof head + 8 * groups + 4 * values;
    if (!groups) return "no groups";
    if (columns > size) return "more lengths than it has room for";
    frame->groups = head[0];
    frame->continues = (head[1] & FLAG_CONTINUES) != 0;
    frame->key_sizes = (const uint32_t *)(body + sizeof head);
    frame->counts = frame->key_sizes + groups;
    frame->value_sizes = frame->counts + groups;
    if (sum(frame->counts, groups) != values) return "another number of values than its groups have";
    uint64_t keys_size = sum(frame->key_sizes, groups);
    if (columns + keys_size + sum(frame->value_sizes, values) != size) return "lengths that do not add up to its size";
    frame->keys = body + columns;
    frame->values = frame->keys + keys_size;
    return NULL;
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

static void refuse(const char *frame, const char *wrong) {
    if (wrong) die("the worker sent a %s frame with %s", frame, wrong);
}

static uint32_t read_frame(apollo *job) {
    header h;
    read_exactly(job, &h, sizeof h);
    const char *wrong = decode_header(&h);
    if (wrong) die("the worker sent a frame of type %u with %s", h.type, wrong);
    reserve(&job->body, (size_t)h.body_size + 1);
    read_exactly(job, job->body.data, h.body_size);
    job->body.size = h.body_size;
    if (h.type == END && h.body_size) refuse("END", "a body");
    return h.type;
}

/* As much as a C string can hold. */
static void append_text(buffer *b, const char *text, size_t size) {
    append(b, text, strnlen(text, size));
    append(b, "", 1);
}

/* Keeps the settings as NAME\0VALUE\0 after each other. */
static void read_hello(apollo *job) {
    hello_frame hello = {0};
    uint32_t type = read_frame(job);
    if (type != HELLO) die("the worker began with a frame of type %u, not with HELLO", type);
    const char *wrong = decode_hello(job->body.data, job->body.size, &hello);
    if (wrong && hello.version > VERSION)
        apollo_fail(job, "this program speaks version 1 of the artifact protocol, the worker a later one");
    refuse("HELLO", wrong);
    for (uint32_t i = 0; i < hello.count; i++) {
        append_text(&job->settings, hello.keys, hello.key_sizes[i]);
        append_text(&job->settings, hello.values, hello.value_sizes[i]);
        hello.keys += hello.key_sizes[i];
        hello.values += hello.value_sizes[i];
    }
}

static int load_block(apollo *job) {
    while (!job->at_end) {
        uint32_t type = read_frame(job);
        if (type == END) {
            job->at_end = 1;
        } else if (type == INPUT) {
            job->input.size = 0;
            append_text(&job->input, job->body.data, job->body.size);
        } else if (type == RECORDS) {
            refuse("RECORDS", decode_records(job->body.data, job->body.size, &job->block));
            if (job->block.count) return 1;
        } else {
            die("the worker sent a frame of type %u to a mapper", type);
        }
    }
    return 0;
}

int apollo_next_block(apollo *job, apollo_block *block) {
    if (!job->block.count && !load_block(job)) return 0;
    *block = job->block;
    job->record_offset = (int64_t)block->offset;
    job->taken += block->count;
    job->block.count = 0;
    return 1;
}

int apollo_next_record(apollo *job, apollo_bytes *record) {
    apollo_block *block = &job->block;
    int is_first = !block->count;
    if (is_first && !load_block(job)) return 0;
    job->record_offset = is_first || block->exact_offsets ? (int64_t)block->offset : -1;
    size_t step;
    if (block->lengths) {
        record->size = step = *block->lengths++;
    } else {
        record->size = (size_t)((const char *)memchr(block->data, '\n', block->size) - block->data);
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

int64_t apollo_offset(const apollo *job) { return job->record_offset; }

/* Read the next GROUPS frame; 0 at the end of the input. */
static int load_groups(apollo *job) {
    uint32_t type = read_frame(job);
    if (type == END) {
        job->at_end = 1;
        return 0;
    }
    if (type != GROUPS) die("the worker sent a frame of type %u to a reducer", type);
    refuse("GROUPS", decode_groups(job->body.data, job->body.size, &job->groups));
    job->has_groups = 1;
    return 1;
}

/* Make the frame's next group the current one; its key. */
static apollo_bytes enter_group(apollo *job) {
    groups_frame *frame = &job->groups;
    apollo_bytes key = {frame->keys, *frame->key_sizes++};
    frame->keys += key.size;
    job->values_left = *frame->counts++;
    job->has_groups = --frame->groups > 0;
    return key;
}

int apollo_next_value(apollo *job, apollo_bytes *value) {
    while (job->in_group && !job->values_left) {
        job->in_group = !job->has_groups && !job->at_end && load_groups(job) && job->groups.continues;
        if (!job->in_group) break;
        apollo_bytes key = enter_group(job);
        if (key.size != job->key.size || (key.size && memcmp(key.data, job->key.data, key.size)))
            die("the worker goes on with a group under another key");
    }
    if (!job->in_group) return 0;
    value->data = job->groups.values;
    value->size = *job->groups.value_sizes++;
    job->groups.values += value->size;
    job->values_left--;
    return 1;
}

int apollo_next_group(apollo *job, apollo_bytes *key) {
    apollo_bytes unread;
    while (apollo_next_value(job, &unread)) continue;
    if (!job->has_groups && !job->at_end && load_groups(job) && job->groups.continues)
        die("the worker goes on with a group that it has not begun");
    if (job->at_end) return 0;
    apollo_bytes found = enter_group(job);
    job->key.size = 0;
    append(&job->key, found.data, found.size);
    *key = (apollo_bytes){job->key.data, job->key.size};
    job->in_group = 1;
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
    if (!group_size || group_size > NAME_LIMIT_BYTES || !*name || strlen(name) > NAME_LIMIT_BYTES)
        apollo_fail(job, "a counter's group and name have 1 to 255 bytes each");
    char head[12 + NAME_LIMIT_BYTES];
    uint32_t size = (uint32_t)group_size;
    memcpy(head, &increment, 8);
    memcpy(head + 8, &size, 4);
    memcpy(head + 12, group, group_size);
    write_frame(job, COUNTER, head, 12 + group_size, name, strlen(name));
}

static void write_message(apollo *job, uint32_t type, const char *message) {
    write_frame(job, type, NULL, 0, message, strnlen(message, MESSAGE_LIMIT_BYTES));
}

void apollo_status(apollo *job, const char *message) { write_message(job, STATUS, message); }

void apollo_fail(apollo *job, const char *message) {
    write_message(job, ERROR, message);
    die("%s", message);
}

/* Beginning and end. */

static void write_hello(apollo *job) {
    static const char setting[] = "sdkc/" APOLLO_VERSION; /* `sdk`, and what it is */
    const uint32_t head[] = {VERSION, 0, 1, 3, sizeof setting - 1 - 3};
    write_frame(job, HELLO, head, sizeof head, setting, sizeof setting - 1);
}

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
    write_hello(job);
    read_hello(job);
    return job;
}

static const char *find(const apollo *job, const char *prefix, const char *name) {
    const char *end = job->settings.data + job->settings.size;
    const char *found = NULL; /* the last one, as in the other SDKs */
    size_t prefix_size = strlen(prefix);
    for (const char *at = job->settings.data; at < end;) {
        const char *value = at + strlen(at) + 1;
        if (!strncmp(at, prefix, prefix_size) && !strcmp(at + prefix_size, name)) found = value;
        at = value + strlen(value) + 1;
    }
    return found;
}

const char *apollo_setting(const apollo *job, const char *name) { return find(job, "", name); }

const char *apollo_param(const apollo *job, const char *name) { return find(job, "param.", name); }

const char *apollo_role(const apollo *job) {
    const char *role = apollo_setting(job, "role");
    return role ? role : "";
}

static void write_end(apollo *job) { write_frame(job, END, &job->taken, sizeof job->taken, NULL, 0); }

static void release(apollo *job) {
    close(job->fd);
    buffer *buffers[] = {&job->body, &job->settings, &job->input, &job->key, &job->emitted_keys, &job->emitted_values};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]->data);
    free(job);
}

int apollo_close(apollo *job) {
    flush(job);
    write_end(job);
    release(job);
    return 0;
}
