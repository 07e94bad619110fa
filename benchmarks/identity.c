/* Passes its input on: what the protocol costs when the program costs next to nothing. */
#include "apollo.h"

#include <string.h>

int main(void) {
    apollo *job = apollo_open();
    apollo_bytes key, value;
    if (!strcmp(apollo_role(job), "map")) {
        while (apollo_next_record(job, &key)) apollo_emit(job, key.data, key.size < 10 ? key.size : 10, key.data, key.size);
    } else {
        while (apollo_next_group(job, &key))
            while (apollo_next_value(job, &value)) apollo_emit(job, key.data, key.size, value.data, value.size);
    }
    return apollo_close(job);
}
