/* Prints what it understands of the worker's frames, and sends one frame of each kind. */
#include "apollo.h"

#include <stdio.h>
#include <string.h>

static void print(const char *label, apollo_bytes bytes) {
    printf("%s ", label);
    for (size_t i = 0; i < bytes.size; i++) printf("%02x", (unsigned char)bytes.data[i]);
    putchar('\n');
}

int main(void) {
    apollo *job = apollo_open();
    const char *q = apollo_setting(job, "param.q");
    printf("role %s q %s\n", apollo_role(job), q ? q : "-");
    apollo_bytes record, key, value;
    if (apollo_setting(job, "param.fail")) apollo_fail(job, "no");
    if (!strcmp(apollo_role(job), "map")) {
        while (apollo_next_record(job, &record)) {
            printf("%s ", apollo_input(job));
            print("record", record);
        }
    } else {
        int skip = apollo_setting(job, "param.skip") != NULL;
        while (apollo_next_group(job, &key)) {
            print("group", key);
            while (!skip && apollo_next_value(job, &value)) print("value", value);
        }
    }
    apollo_emit(job, "", 0, "", 0);
    apollo_emit(job, "k\n", 2, "\0\xff\t", 3);
    apollo_write(job, "raw\n", 4);
    apollo_counter(job, "words", "\xc3\xa9", -2);
    apollo_status(job, "half");
    return apollo_close(job);
}
