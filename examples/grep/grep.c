/* Finds the lines that match the parameter `pattern`: file name and byte offset, then the line. Run it map-only. */
#include "apollo.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static regex_t compiled(apollo *job, const char *pattern) {
    regex_t regex;
    char message[256];
    int error = regcomp(&regex, pattern ? pattern : "", REG_EXTENDED);
    regerror(error, &regex, message, sizeof message);
    if (!pattern || error) apollo_fail(job, pattern ? message : "give me --param pattern=REGEX");
    return regex;
}

static int matches(const regex_t *regex, apollo_bytes line) {
    regmatch_t part = {0, (regoff_t)line.size}; /* a line is not terminated, and may hold any byte */
    return !regexec(regex, line.data, 1, &part, REG_STARTEND);
}

int main(void) {
    apollo *job = apollo_open();
    apollo_bytes line;
    regex_t regex = compiled(job, apollo_param(job, "pattern"));
    while (apollo_next_record(job, &line)) {
        if (!matches(&regex, line)) continue;
        const char *slash = strrchr(apollo_input(job), '/'), *name = slash ? slash + 1 : apollo_input(job);
        char place[4096];
        int size = snprintf(place, sizeof place, "%s:%lld", name, (long long)apollo_offset(job));
        apollo_emit(job, place, (size_t)size < sizeof place ? (size_t)size : sizeof place - 1, line.data, line.size);
        apollo_counter(job, "grep", "matching lines", 1);
        apollo_counter(job, "matches by file", name, 1);
    }
    regfree(&regex);
    return apollo_close(job);
}
