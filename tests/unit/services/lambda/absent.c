/* What the handlers call that these tests never reach: linked, and an abort when it is reached after all. A test that needs one puts its own into
 * world.c, which is stronger. */
#include <stdlib.h>

#define ABSENT(name)                                                                                               \
    void name(void);                                                                                               \
    __attribute__((weak)) void name(void)                                                                          \
    {                                                                                                              \
        abort();                                                                                                   \
    }

ABSENT(engine_find_version)
ABSENT(engine_list_versions)
ABSENT(engine_publish)
ABSENT(engine_delete_version)
ABSENT(engine_put_tags)
ABSENT(engine_setting)
ABSENT(engine_settings)
ABSENT(engine_url_find)
ABSENT(engine_setting_put)
ABSENT(engine_setting_delete)
ABSENT(engine_reserve)
ABSENT(engine_reserved)
ABSENT(engine_unreserved)
ABSENT(engine_unreserved_min)
ABSENT(engine_route)
ABSENT(engine_layers)
ABSENT(alias_free)
ABSENT(alias_write)
ABSENT(alias_read)
ABSENT(function_url_new)
ABSENT(function_url_copy)
ABSENT(function_url_free)
ABSENT(function_url_write)
ABSENT(function_url_read)
ABSENT(layer_find)
ABSENT(layer_find_arn)
ABSENT(layer_list)
ABSENT(layer_list_versions)
ABSENT(layer_publish)
ABSENT(layer_version_new)
ABSENT(layer_version_free)
ABSENT(layer_delete)
ABSENT(layer_put_policy)
ABSENT(async_queue_put)
ABSENT(async_queue_forget)
ABSENT(code_link_address)
ABSENT(layer_sizes_check)
