/* The environment that an instance starts with.
 * Source: AWS Lambda developer guide, "Defined runtime environment variables". */
#include "engine/private.h"

static bool user_has(const struct function *f, const char *name)
{
    for (size_t i = 0; i < f->environment_count; i++)
        if (strcmp(f->environment[i].name, name) == 0)
            return true;
    return false;
}

/* Ours gives way to the user's where the API let the name pass (PATH, NODE_PATH, LANG, ...). */
static void put(struct buffer *out, const struct function *f, const char *name, const char *value)
{
    if (user_has(f, name))
        return;
    buffer_appendf(out, "%s=%s", name, value);
    buffer_append_byte(out, '\0');
}

static void put_language(struct buffer *out, const struct function *f)
{
    char text[256];
    if (f->runtime->family == RUNTIME_NODE) {
        (void)snprintf(text, sizeof(text),
                       "/opt/nodejs/node%d/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:"
                       "/var/runtime:/var/task",
                       f->runtime->major);
        put(out, f, "NODE_PATH", text);
    } else if (f->runtime->family == RUNTIME_PYTHON) {
        put(out, f, "PYTHONPATH", "/var/runtime");
    } else { /* Source as above: AWS_EXECUTION_ENV "is not defined for OS-only runtimes" */
        (void)snprintf(text, sizeof(text), "127.0.0.1:%d", KEEPER_RUNTIME_API_PORT);
        put(out, f, "AWS_LAMBDA_RUNTIME_API", text);
        put(out, f, "PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin");
        put(out, f, "LD_LIBRARY_PATH",
            "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
        return;
    }
    (void)snprintf(text, sizeof(text), "AWS_Lambda_%s", f->runtime->id);
    put(out, f, "AWS_EXECUTION_ENV", text);
    put(out, f, "PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin");
    put(out, f, "LD_LIBRARY_PATH",
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
}

void environment_block(const struct instance *instance, struct buffer *out)
{
    const struct function *f = instance->pool->function;
    const struct engine_config *c = &instance->engine->config;
    char text[64];
    put(out, f, "_HANDLER", f->handler);
    put(out, f, "AWS_REGION", c->region);
    put(out, f, "AWS_DEFAULT_REGION", c->region);
    put(out, f, "AWS_LAMBDA_FUNCTION_NAME", f->name);
    put(out, f, "AWS_LAMBDA_FUNCTION_VERSION", f->version);
    (void)snprintf(text, sizeof(text), "%u", f->memory_mb);
    put(out, f, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", text);
    put(out, f, "AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
    put(out, f, "AWS_LAMBDA_LOG_GROUP_NAME", f->log_group);
    put(out, f, "AWS_LAMBDA_LOG_STREAM_NAME", instance->stream);
    if (strcmp(f->log_format, "Text") != 0)
        put(out, f, "AWS_LAMBDA_LOG_FORMAT", f->log_format);
    if (f->application_log_level != NULL)
        put(out, f, "AWS_LAMBDA_LOG_LEVEL", f->application_log_level);
    put(out, f, "AWS_ACCESS_KEY_ID", instance->principal.access_key);
    put(out, f, "AWS_SECRET_ACCESS_KEY", instance->principal.secret);
    put(out, f, "AWS_SESSION_TOKEN", instance->principal.token);
    (void)snprintf(text, sizeof(text), "http://127.0.0.1:%d", KEEPER_API_PORT);
    put(out, f, "AWS_ENDPOINT_URL", c->api_url == NULL ? text : c->api_url);
    put(out, f, "AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    put(out, f, "LAMBDA_TASK_ROOT", "/var/task");
    put(out, f, "LAMBDA_RUNTIME_DIR", "/var/runtime");
    put(out, f, "LANG", "en_US.UTF-8");
    put(out, f, "TZ", ":UTC");
    put_language(out, f);
    for (size_t i = 0; i < f->environment_count; i++) {
        buffer_appendf(out, "%s=%s", f->environment[i].name, f->environment[i].value);
        buffer_append_byte(out, '\0');
    }
}
