/* Prints what it understands of the worker's frames, and sends one frame of each kind. */
#include "apollo.h"

#include <stdio.h>
#include <string.h>

static void print(apollo_bytes bytes) {
    for (size_t i = 0; i < bytes.size; i++) printf("%02x", (unsigned char)bytes.data[i]);
    putchar('\n');
}

int main(void) {
    apollo *job = apollo_open();
    apollo_bytes record, key, value;
    if (apollo_param(job, "fail")) apollo_fail(job, "no");
    if (!strcmp(apollo_role(job), "map")) {
        while (apollo_next_record(job, &record)) {
            printf("record %s %lld ", *apollo_input(job) ? apollo_input(job) : "-", (long long)apollo_offset(job));
            print(record);
        }
    } else {
        int skip = apollo_param(job, "skip") != NULL;
        while (apollo_next_group(job, &key)) {
            printf("group ");
            print(key);
            while (!skip && apollo_next_value(job, &value)) printf("value "), print(value);
        }
    }
    const char *q = apollo_param(job, "q");
    printf("role %s q %s\n", apollo_role(job), q ? q : "-");
    apollo_emit(job, "", 0, "", 0);
    apollo_emit(job, "k\n", 2, "\0\xff\t", 3);
    apollo_write(job, "raw\n", 4);
    apollo_counter(job, "words", "\xc3\xa9", -2);
    apollo_status(job, "half");
    return apollo_close(job);
}
