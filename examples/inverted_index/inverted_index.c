/* Tells for every word (letters, in lower case) the names of the files that it is in. */
#include "apollo.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void map(apollo *job) {
    apollo_bytes line;
    char word[256];
    while (apollo_next_record(job, &line)) {
        const char *slash = strrchr(apollo_input(job), '/'), *name = slash ? slash + 1 : apollo_input(job);
        size_t size = 0;
        for (size_t i = 0; i <= line.size; i++) {
            int c = i < line.size ? (unsigned char)line.data[i] : 0; /* ASCII: no locale was set */
            if (isalpha(c) && size < sizeof word) word[size++] = (char)tolower(c);
            else if (!isalpha(c) && size) apollo_emit(job, word, size, name, strlen(name)), size = 0;
        }
    }
}

static int compare(const void *left, const void *right) { return strcmp(*(char *const *)left, *(char *const *)right); }

/* The names of a group, in order, each once. */
static size_t read_names(apollo *job, char ***names) {
    apollo_bytes value;
    size_t count = 0, different = 0;
    while (apollo_next_value(job, &value)) {
        *names = realloc(*names, (count + 1) * sizeof **names);
        if (!*names || !((*names)[count++] = strndup(value.data, value.size))) apollo_fail(job, "no memory for the names");
    }
    qsort(*names, count, sizeof **names, compare);
    for (size_t i = 0; i < count; i++) {
        if (different && !strcmp((*names)[different - 1], (*names)[i])) free((*names)[i]);
        else (*names)[different++] = (*names)[i];
    }
    return different;
}

static void reduce(apollo *job, int combines) {
    apollo_bytes word;
    char **names = NULL, *list = NULL;
    size_t size;
    while (apollo_next_group(job, &word)) {
        size_t count = read_names(job, &names);
        FILE *line = open_memstream(&list, &size);
        if (!line) apollo_fail(job, "no memory for a line");
        for (size_t i = 0; i < count; i++) {
            if (combines) apollo_emit(job, word.data, word.size, names[i], strlen(names[i]));
            fprintf(line, i ? ",%s" : "%s", names[i]);
            free(names[i]);
        }
        fclose(line);
        if (!combines) apollo_emit(job, word.data, word.size, list, size);
        free(list);
    }
    free(names);
}

int main(void) {
    apollo *job = apollo_open();
    if (!strcmp(apollo_role(job), "map")) map(job);
    else reduce(job, !strcmp(apollo_role(job), "combine"));
    return apollo_close(job);
}
