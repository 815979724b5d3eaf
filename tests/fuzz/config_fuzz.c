/* The configuration file. Beyond not crashing: what is accepted, written out and read again is the same configuration. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config, again;
    struct error err = { 0 };
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    config_init(&config);
    if (config_read_yaml(&config, "fuzz", slice_from(data, size), &err) == OK) {
        config_init(&again);
        config_write_yaml(&config, &first);
        if (config_read_yaml(&again, "written", buffer_slice(&first), &err) != OK)
            abort();
        config_write_yaml(&again, &second);
        if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
            abort();
        config_done(&again);
    } else if (err.message[0] == '\0' || err.hint[0] == '\0') {
        abort(); /* a refusal that says nothing helps nobody */
    }
    config_done(&config);
    buffer_drop(&first);
    buffer_drop(&second);
    return 0;
}
