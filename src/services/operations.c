#include "services/operations.h"

#include <stdio.h>

#include "json/json.h"
#include "services/service.h"

static const struct service *const all_services[] = { &lambda_service, &logs_service, &sts_service };

static void append_member(struct buffer *out, const char *name, const char *value)
{
    buffer_appendf(out, ",\"%s\":", name);
    if (value == NULL)
        buffer_append_text(out, "null");
    else
        json_append_string(out, slice_of(value));
}

static void append_operation(struct buffer *out, const struct service *service, const struct operation *operation)
{
    buffer_append_text(out, out->len > 1 ? ",\n {\"service\":" : "\n {\"service\":");
    json_append_string(out, slice_of(service->name));
    append_member(out, "operation", operation->name);
    append_member(out, "method", operation->method);
    append_member(out, "path", operation->path);
    append_member(out, "action", operation->action);
    buffer_append_byte(out, '}');
}

void services_print_operations(void)
{
    struct buffer out = BUFFER_EMPTY;
    buffer_append_byte(&out, '[');
    for (size_t s = 0; s < sizeof(all_services) / sizeof(all_services[0]); s++)
        for (size_t i = 0; i < all_services[s]->operation_count; i++)
            append_operation(&out, all_services[s], &all_services[s]->operations[i]);
    buffer_append_text(&out, "\n]\n");
    fwrite(out.at, 1, out.len, stdout);
    buffer_drop(&out);
}
