/* The codec against the protocol's test vectors, and against any bytes at all. Build it with the sanitizers:
 *
 *     cc -D_GNU_SOURCE -fsanitize=address,undefined -I sdk/c -o vectors sdk/c/tests/vectors.c
 *     ./vectors docs/artifact-protocol/vectors.txt
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

/* The library ends the process when the worker is wrong; here it goes on with the next conversation. */
static jmp_buf given_up;
static FILE *messages;
static _Noreturn void give_up(int status) { longjmp(given_up, status); }

#undef stderr
#define stderr messages
#define exit give_up
#include "../apollo.c"
#undef exit

enum { LINE_LIMIT = 4096, FUZZ_ROUNDS = 20000, FUZZ_WORDS = 12, STREAM_ROUNDS = 1000, STREAM_BYTES = 1024 };

static int passed, failed;

static void check(int right, const char *vector, const char *what) {
    if (right) {
        passed++;
    } else {
        failed++;
        printf("%s: %s\n", vector, what);
    }
}

/* Vectors. */

typedef struct {
    char name[LINE_LIMIT], from[16], type[16];
    buffer frame, meaning; /* the meaning as one word after another, as `render` writes it */
    int is_bad, is_first;
} vector;

static void append_hex(buffer *b, const char *text) {
    int used = 0;
    for (unsigned byte; sscanf(text, " %2x%n", &byte, &used) == 1; text += used) append(b, &(char){(char)byte}, 1);
}

static void append_line(buffer *b, const char *word, const char *text) {
    append(b, word, strlen(word));
    append(b, " ", 1);
    append(b, text, strlen(text));
    append(b, "\n", 1);
}

/* Reads the next one; 0 at the end of the file. */
static int read_vector(FILE *file, vector *v) {
    char line[LINE_LIMIT];
    *v = (vector){0};
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *text = strchr(line, ' ');
        if (*line == '#') continue;
        if (!text && *v->name) return 1;
        if (!text) continue;
        *text++ = 0;
        if (!strcmp(line, "vector")) strcpy(v->name, text);
        else if (!strcmp(line, "from")) snprintf(v->from, sizeof v->from, "%s", text);
        else if (!strcmp(line, "type")) snprintf(v->type, sizeof v->type, "%s", text);
        else if (!strcmp(line, "hex")) append_hex(&v->frame, text);
        else if (!strcmp(line, "error")) v->is_bad = 1;
        else if (!strcmp(line, "first")) v->is_first = 1;
        else append_line(&v->meaning, line, text);
    }
    return *v->name != 0;
}

/* What a worker means, in the words of the vectors' file. */

static void render_bytes(buffer *out, const char *word, const char *data, size_t size) {
    char *text = calloc(1, 2 * size + 2);
    for (size_t i = 0; i < size; i++) sprintf(text + 2 * i, "%02x", (unsigned char)data[i]);
    append_line(out, word, size ? text : "-");
    free(text);
}

static void render_hello(buffer *out, const hello_frame *hello, const char *body) {
    char text[LINE_LIMIT];
    uint32_t max_body_bytes;
    memcpy(&max_body_bytes, body + 4, 4);
    snprintf(text, sizeof text, "%u", hello->version);
    append_line(out, "version", text);
    snprintf(text, sizeof text, "%u", max_body_bytes);
    append_line(out, "max_body_bytes", text);
    const char *key = hello->keys, *value = hello->values;
    for (uint32_t i = 0; i < hello->count; key += hello->key_sizes[i], value += hello->value_sizes[i], i++) {
        snprintf(text, sizeof text, "%.*s %.*s", (int)hello->key_sizes[i], key, (int)hello->value_sizes[i], value);
        append_line(out, "setting", text);
    }
}

static void render_records(buffer *out, apollo *job) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)job->block.offset);
    append_line(out, "offset", text);
    append_line(out, "exact_offsets", job->block.exact_offsets ? "true" : "false");
    apollo_bytes record;
    while (job->block.count && apollo_next_record(job, &record)) render_bytes(out, "record", record.data, record.size);
}

static void render_groups(buffer *out, groups_frame *frame) {
    append_line(out, "continues", frame->continues ? "true" : "false");
    const uint32_t *value_size = frame->value_sizes;
    for (uint32_t i = 0; i < frame->groups; frame->keys += frame->key_sizes[i], i++) {
        render_bytes(out, "group", frame->keys, frame->key_sizes[i]);
        for (uint32_t j = 0; j < frame->counts[i]; j++) {
            render_bytes(out, "value", frame->values, *value_size);
            frame->values += *value_size++;
        }
    }
}

/* Decodes a worker's frame and renders it; returns what is wrong, or NULL. Its body is in memory of exactly its size. */
static const char *decode(const char *frame, size_t size, int is_first, buffer *out) {
    header h;
    memcpy(&h, frame, sizeof h);
    const char *wrong = decode_header(&h);
    if (wrong) return wrong;
    if (is_first && h.type != HELLO) return "no HELLO";
    apollo job = {0};
    hello_frame hello;
    char *body = malloc(size - sizeof h);
    memcpy(body, frame + sizeof h, size - sizeof h);
    size -= sizeof h;
    if (h.type == HELLO && !(wrong = decode_hello(body, size, &hello))) render_hello(out, &hello, body);
    if (h.type == INPUT) append_line(out, "url", strndupa(body, size));
    if (h.type == RECORDS && !(wrong = decode_records(body, size, &job.block))) render_records(out, &job);
    if (h.type == GROUPS && !(wrong = decode_groups(body, size, &job.groups))) render_groups(out, &job.groups);
    if (h.type == END && size) wrong = "a body";
    free(body);
    return wrong;
}

static void check_worker(const vector *v) {
    buffer out = {0};
    const char *wrong = decode(v->frame.data, v->frame.size, v->is_first, &out);
    append(&out, "", 1);
    if (v->is_bad) {
        check(wrong != NULL, v->name, "is not refused");
    } else {
        check(!wrong, v->name, wrong);
        check(!strcmp(out.data, v->meaning.data), v->name, "has another meaning");
    }
    free(out.data);
}

/* What a program sends: each kind of frame once, through the public calls. */

static apollo *new_job(int fd) {
    apollo *job = calloc(1, sizeof *job);
    if (!job) abort();
    job->fd = fd;
    return job;
}

static void send_one(apollo *job, const char *name) {
    if (!strcmp(name, "hello-program")) write_hello(job);
    if (!strcmp(name, "pairs")) {
        apollo_emit(job, "", 0, "", 0);
        apollo_emit(job, "k\n", 2, "\0\xff\t", 3);
        flush(job);
    }
    if (!strcmp(name, "pairs-none")) write_pairs(job, 0, NULL, NULL, part(NULL, 0), part(NULL, 0));
    if (!strcmp(name, "output")) apollo_write(job, "raw\n", 4);
    if (!strcmp(name, "counter")) apollo_counter(job, "words", "\xc3\xa9", -2);
    if (!strcmp(name, "status")) apollo_status(job, "half");
    if (!strcmp(name, "error")) write_message(job, ERROR, "no");
    if (!strcmp(name, "end-program")) job->taken = 258, write_end(job);
}

static void check_program(const vector *v) {
    int ends[2];
    char sent[LINE_LIMIT];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    apollo *job = new_job(ends[0]);
    send_one(job, v->name);
    shutdown(ends[0], SHUT_WR);
    ssize_t size = read(ends[1], sent, sizeof sent);
    check(size == (ssize_t)v->frame.size && !memcmp(sent, v->frame.data, v->frame.size), v->name, "is sent otherwise");
    close(ends[1]);
    release(job);
}

/* A number that `./dev fuzz` sets, for other bytes and more of them. */
static unsigned fuzz_number(const char *name) { return getenv(name) ? (unsigned)atol(getenv(name)) : 1; }

/* Any bytes: mostly small numbers, so that many of them add up. */
static void fuzz_frames(void) {
    static const uint32_t types[] = {HELLO, INPUT, RECORDS, GROUPS, END};
    long refused = 0, rounds = (long)FUZZ_ROUNDS * fuzz_number("APOLLO_FUZZ_TIMES");
    for (long round = 0; round < rounds; round++) {
        uint32_t words[2 + FUZZ_WORDS], count = (uint32_t)random() % (FUZZ_WORDS + 1);
        for (uint32_t i = 0; i < count; i++) words[2 + i] = random() % 4 ? (uint32_t)random() % 4 : (uint32_t)random() * 2;
        size_t size = 4 * count - (count ? (size_t)random() % 4 : 0);
        words[0] = (uint32_t)size;
        words[1] = types[random() % 5];
        if (words[1] == HELLO && count) words[2] = VERSION;
        buffer out = {0};
        refused += decode((const char *)words, 8 + size, 0, &out) != NULL;
        free(out.data);
    }
    check(refused > rounds / 10 && refused < rounds * 9 / 10, "fuzz", "frames are all good or all bad");
}

/* Streams: what a program that reads everything makes of them. */

/* As main of a program would. */
static void copy_all(apollo *job) {
    apollo_bytes key, value;
    apollo_block block;
    read_hello(job);
    if (!strcmp(apollo_role(job), "map")) {
        if (apollo_next_record(job, &key)) apollo_emit(job, key.data, key.size, apollo_input(job), 1);
        if (apollo_next_block(job, &block)) apollo_emit(job, block.data, block.size, "", 0);
        while (apollo_next_record(job, &key)) apollo_emit(job, key.data, key.size, "", 0);
    } else {
        while (apollo_next_group(job, &key))
            while (apollo_next_value(job, &value)) apollo_emit(job, key.data, key.size, value.data, value.size);
    }
}

/* Whether the program came to the end of what a worker says; if not, there is a message that says why. */
static int converses(const char *content, size_t size) {
    int ends[2];
    char said[LINE_LIMIT] = "";
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || write(ends[1], content, size) != (ssize_t)size) abort();
    shutdown(ends[1], SHUT_WR);
    rewind(messages);
    apollo *volatile job = new_job(ends[0]);
    int ended = !setjmp(given_up);
    if (ended) {
        copy_all(job);
        apollo_close(job);
    } else {
        rewind(messages);
        check(fgets(said, sizeof said, messages) && strstr(said, "worker"), "stream", said);
        release(job);
    }
    close(ends[1]);
    return ended;
}

static size_t put(char *stream, size_t at, const uint32_t *words, size_t count, const char *text, size_t size) {
    memcpy(stream + at, words, 4 * count);
    memcpy(stream + at + 4 * count, text, size);
    return at + 4 * count + size;
}

/* A right stream for a mapper or a reducer. */
static size_t make_stream(char *stream, int maps) {
    const uint32_t map[] = {27, HELLO, VERSION, 0, 1, 4, 3}, reduce[] = {30, HELLO, VERSION, 0, 1, 4, 6};
    const uint32_t lines[] = {21, RECORDS, FRAMING_LINES, 2, 5, 0}, sized[] = {29, RECORDS, FRAMING_SIZED, 2, 9, 0, 2, 3};
    const uint32_t groups[] = {44, GROUPS, 2, 0, 3, 1, 1, 1, 2, 1, 0, 1}, more[] = {26, GROUPS, 1, 1, 1, 1, 1, 1};
    const uint32_t end[] = {0, END};
    size_t at = maps ? put(stream, 0, map, 7, "rolemap", 7) : put(stream, 0, reduce, 7, "rolereduce", 10);
    if (maps) {
        at = put(stream, at, lines, 6, "ab\nc\n", 5);
        at = put(stream, at, sized, 8, "a\nbcd", 5);
    } else {
        at = put(stream, at, groups, 12, "jkxy", 4);
        at = put(stream, at, more, 8, "kz", 2);
    }
    return put(stream, at, end, 2, "", 0);
}

static void fuzz_streams(void) {
    char stream[STREAM_BYTES];
    long ended = 0, rounds = (long)STREAM_ROUNDS * fuzz_number("APOLLO_FUZZ_TIMES");
    for (int maps = 0; maps < 2; maps++) check(converses(stream, make_stream(stream, maps)), "stream", "is refused");
    for (long round = 0; round < rounds; round++) {
        size_t size = make_stream(stream, random() % 2);
        for (long changes = 1 + random() % 3; changes > 0; changes--)
            stream[(size_t)random() % size] = (char[]){0, 1, 2, 10, -1}[random() % 5];
        ended += converses(stream, random() % 4 ? size : (size_t)random() % size);
    }
    check(ended > rounds / 20 && ended < rounds * 19 / 20, "stream", "streams are all good or all bad");
}

int main(int count, char **arguments) {
    messages = tmpfile();
    if (!messages || setjmp(given_up)) return 1;
    FILE *file = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (!file) return puts("give me docs/artifact-protocol/vectors.txt"), 2;
    for (vector v; read_vector(file, &v); free(v.frame.data), free(v.meaning.data)) {
        append(&v.meaning, "", 1);
        if (!strcmp(v.from, "worker")) check_worker(&v);
        else if (!v.is_bad) check_program(&v);
    }
    fclose(file);
    srandom(fuzz_number("APOLLO_FUZZ_SEED"));
    if (fuzz_number("APOLLO_FUZZ_TIMES")) {
        fuzz_frames();
        fuzz_streams();
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
