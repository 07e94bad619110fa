/* Passes rows on: a key of 10 bytes, a tab, the value. The output format puts the tab between them again. */
#include "apollo.h"

#include <string.h>

#define KEY_BYTES 10

int main(void) {
    apollo *job = apollo_open();
    apollo_bytes key, value;
    if (!strcmp(apollo_role(job), "map")) {
        while (apollo_next_record(job, &key))
            apollo_emit(job, key.data, KEY_BYTES, key.data + KEY_BYTES + 1, key.size - KEY_BYTES - 1);
    } else {
        while (apollo_next_group(job, &key))
            while (apollo_next_value(job, &value)) apollo_emit(job, key.data, key.size, value.data, value.size);
    }
    return apollo_close(job);
}
