/* Texts: what Lambda prints around a call, its error payloads.
 * With the JSON log format these are the platform.* events of the Telemetry API, each with a level; SystemLogLevel says which are printed.
 * Source: AWS Lambda developer guide, "Understanding log formats", "Log-level filtering" (the mapping of events to levels), "Telemetry API Event
 * schema reference". */
#include <sys/wait.h>
#include <unistd.h>

#include "engine/private.h"
#include "json/json.h"

/* Keeps the last ENGINE_LOG_TAIL_BYTES; trims only now and then, so that appending stays cheap. */
static void tail_append(struct buffer *tail, struct slice text)
{
    if (text.len > ENGINE_LOG_TAIL_BYTES)
        text = slice_sub(text, text.len - ENGINE_LOG_TAIL_BYTES, text.len);
    buffer_append_slice(tail, text);
    if (tail->len > 4 * (size_t)ENGINE_LOG_TAIL_BYTES)
        buffer_consume(tail, tail->len - ENGINE_LOG_TAIL_BYTES);
}

static void put_event(struct instance *instance, struct invocation *invocation, int64_t time_ms, struct slice text)
{
    function_logs_put(instance->engine->config.logs, slice_of(instance->pool->function->log_group),
                      slice_of(instance->stream), time_ms, text);
    if (invocation == NULL)
        tail_append(&instance->init_log, text);
    else if (invocation->log_tail)
        tail_append(&invocation->tail, text);
}

static bool is_json(const struct instance *instance)
{
    return strcmp(instance->pool->function->log_format, "JSON") == 0;
}

enum level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN };

static bool is_told(const struct instance *instance, enum level level)
{
    const char *lowest = instance->pool->function->system_log_level;
    if (lowest == NULL || strcmp(lowest, "INFO") == 0)
        return level >= LEVEL_INFO;
    return level >= (strcmp(lowest, "DEBUG") == 0 ? LEVEL_DEBUG : LEVEL_WARN);
}

/* One line of its output, or of ours. */
static void put_text(struct instance *instance, struct invocation *invocation, struct slice text)
{
    if (invocation != NULL)
        report_start(instance, invocation);
    put_event(instance, invocation, clock_wall_ms(), text);
}

/* {"time":...,"type":...,"record":{ */
static void open_record(struct buffer *line, int64_t time_ms, const char *type)
{
    char time[CLOCK_TEXT_BYTES];
    clock_iso_ms(time_ms, time);
    buffer_appendf(line, "{\"time\":\"%s\",\"type\":\"platform.%s\",\"record\":{", time, type);
}

static void put_record(struct instance *instance, struct invocation *invocation, struct buffer *line)
{
    buffer_append_text(line, "}}\n");
    put_event(instance, invocation, clock_wall_ms(), buffer_slice(line));
    buffer_drop(line);
}

static void append_status(struct buffer *line, const char *status, const char *error_type)
{
    buffer_appendf(line, "\"status\":\"%s\"", status == NULL ? "success" : status);
    if (error_type != NULL) {
        buffer_append_text(line, ",\"errorType\":");
        json_append_string(line, slice_of(error_type));
    }
}

/* What happened between the start of an instance and its first call, told together once that call is known. The runtimes here have no version
 * of their own, which makes the first a DEBUG event too. */
static void report_init_json(struct instance *instance, struct invocation *invocation, const char *status,
                             const char *error_type)
{
    const struct function *f = instance->pool->function;
    enum level level = status == NULL ? LEVEL_DEBUG : LEVEL_WARN;
    uint64_t took_us = invocation == NULL ? clock_mono_us() - instance->start_us : instance->init_us;
    int64_t end_ms = clock_wall_ms() - (int64_t)((clock_mono_us() - instance->start_us - took_us) / 1000);
    struct buffer line = BUFFER_EMPTY;
    if (is_told(instance, LEVEL_DEBUG)) {
        open_record(&line, end_ms - (int64_t)(took_us / 1000), "initStart");
        buffer_appendf(&line,
                       "\"initializationType\":\"on-demand\",\"phase\":\"init\",\"functionName\":\"%s\","
                       "\"functionVersion\":\"%s\",\"instanceMaxMemory\":%llu",
                       f->name, f->version, (unsigned long long)f->memory_mb << 20);
        put_record(instance, invocation, &line);
    }
    if (!is_told(instance, level))
        return;
    open_record(&line, end_ms, "initRuntimeDone");
    buffer_append_text(&line, "\"initializationType\":\"on-demand\",\"phase\":\"init\",");
    append_status(&line, status, error_type);
    put_record(instance, invocation, &line);
    open_record(&line, end_ms, "initReport");
    buffer_append_text(&line, "\"initializationType\":\"on-demand\",\"phase\":\"init\",");
    append_status(&line, status, error_type);
    buffer_appendf(&line, ",\"metrics\":{\"durationMs\":%.3f}", (double)took_us / 1000.0);
    put_record(instance, invocation, &line);
}

/* "INIT_REPORT ...\tStatus: error\tError Type: Runtime.ExitError\n" as its record. */
static void put_init_report(struct instance *instance, struct slice text)
{
    char status[32] = "error", type[128] = "";
    while (text.len > 0) {
        struct slice field = slice_split(&text, '\t');
        if (field.len > 0 && field.at[field.len - 1] == '\n')
            field.len--;
        if (slice_starts(field, SLICE("Status: ")))
            (void)snprintf(status, sizeof(status), "%.*s", SLICE_PRINT(slice_sub(field, 8, field.len)));
        if (slice_starts(field, SLICE("Error Type: ")))
            (void)snprintf(type, sizeof(type), "%.*s", SLICE_PRINT(slice_sub(field, 12, field.len)));
    }
    report_init_json(instance, NULL, status, type[0] == '\0' ? NULL : type);
}

/* What else we have to say of a call that went wrong, in the form of the runtimes' own JSON lines. */
static void put_failure_json(struct instance *instance, struct invocation *invocation, struct slice text)
{
    char now[CLOCK_TEXT_BYTES];
    struct buffer line = BUFFER_EMPTY;
    const char *id = invocation == NULL ? NULL : invocation->request_id;
    const char *own = id == NULL ? NULL : memmem(text.at, text.len, id, strlen(id));
    size_t skip = own == NULL ? 0 : (size_t)(own - text.at) + strlen(id) + 1;
    if (own != NULL && skip < text.len && text.at[0] >= '0' && text.at[0] <= '9') /* "TIME ID Task timed out" */
        text = slice_sub(text, skip, text.len);
    while (text.len > 0 && text.at[text.len - 1] == '\n')
        text.len--;
    clock_iso_ms(clock_wall_ms(), now);
    buffer_appendf(&line, "{\"timestamp\":\"%s\",\"level\":\"ERROR\",\"message\":", now);
    json_append_string(&line, text);
    if (id != NULL)
        buffer_appendf(&line, ",\"requestId\":\"%s\"", id);
    buffer_append_text(&line, "}\n");
    put_text(instance, invocation, buffer_slice(&line));
    buffer_drop(&line);
}

void report_log(struct instance *instance, struct invocation *invocation, struct slice text)
{
    if (!is_json(instance))
        put_text(instance, invocation, text);
    else if (slice_starts(text, SLICE("INIT_REPORT ")))
        put_init_report(instance, text);
    else
        put_failure_json(instance, invocation, text);
}

/* The event has the time at which it is written: lines of a group are so in order of time, and who follows them misses none. */
void report_start(struct instance *instance, struct invocation *invocation)
{
    const struct function *f = instance->pool->function;
    char text[256];
    if (invocation->start_written)
        return;
    invocation->start_written = true;
    if (invocation->log_tail && instance->init_log.len > 0)
        tail_append(&invocation->tail, buffer_slice(&instance->init_log));
    buffer_drop(&instance->init_log);
    if (!is_json(instance)) {
        int len =
            snprintf(text, sizeof(text), "START RequestId: %s Version: %s\n", invocation->request_id, f->version);
        put_event(instance, invocation, clock_wall_ms(), slice_from(text, (size_t)len));
        return;
    }
    if (invocation->cold)
        report_init_json(instance, invocation, NULL, NULL);
    if (!is_told(instance, LEVEL_INFO))
        return;
    struct buffer line = BUFFER_EMPTY;
    open_record(&line, invocation->started_wall_ms, "start");
    buffer_appendf(&line, "\"requestId\":\"%s\",\"version\":\"%s\"", invocation->request_id, f->version);
    put_record(instance, invocation, &line);
}

static void report_end_json(struct instance *instance, struct invocation *invocation, uint64_t duration_us,
                            uint64_t billed_ms, uint64_t used_mb, const char *status, const char *error_type)
{
    struct buffer line = BUFFER_EMPTY;
    report_start(instance, invocation);
    if (is_told(instance, status == NULL ? LEVEL_DEBUG : LEVEL_WARN)) {
        open_record(&line, clock_wall_ms(), "runtimeDone");
        buffer_appendf(&line, "\"requestId\":\"%s\",", invocation->request_id);
        append_status(&line, status, error_type);
        buffer_appendf(&line, ",\"metrics\":{\"durationMs\":%.3f}", (double)duration_us / 1000.0);
        put_record(instance, invocation, &line);
    }
    if (!is_told(instance, status == NULL ? LEVEL_INFO : LEVEL_WARN))
        return;
    open_record(&line, clock_wall_ms(), "report");
    buffer_appendf(
        &line,
        "\"requestId\":\"%s\",\"metrics\":{\"durationMs\":%.3f,\"billedDurationMs\":%llu,\"memorySizeMB\":%u,"
        "\"maxMemoryUsedMB\":%llu",
        invocation->request_id, (double)duration_us / 1000.0, (unsigned long long)billed_ms,
        instance->pool->function->memory_mb, (unsigned long long)used_mb);
    if (invocation->cold)
        buffer_appendf(&line, ",\"initDurationMs\":%.3f", (double)instance->init_us / 1000.0);
    buffer_append_text(&line, "},");
    append_status(&line, status, error_type);
    put_record(instance, invocation, &line);
}

/* Bytes. Without a cgroup: VmHWM, the most that the runtime's own process had resident. */
static uint64_t memory_peak(const struct instance *instance)
{
    uint64_t peak =
        instance->exited ? instance->exit_event.memory_peak : keeper_meter_memory_peak(&instance->meters);
    char text[4096];
    ssize_t got =
        peak > 0 || instance->proc_status < 0 ? -1 : pread(instance->proc_status, text, sizeof(text) - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr(text, "VmHWM:");
    return line == NULL ? peak : strtoull(line + strlen("VmHWM:"), NULL, 10) * 1024;
}

void report_end(struct instance *instance, struct invocation *invocation, uint64_t duration_us, const char *status,
                const char *error_type)
{
    const struct function *f = instance->pool->function;
    uint64_t billed_ms = (duration_us + 999) / 1000;
    uint64_t used_mb = (memory_peak(instance) + (1 << 20) - 1) >> 20;
    if (billed_ms == 0)
        billed_ms = 1;
    if (used_mb > f->memory_mb)
        used_mb = f->memory_mb;
    if (is_json(instance)) {
        report_end_json(instance, invocation, duration_us, billed_ms, used_mb, status, error_type);
        return;
    }
    char text[512];
    int len = snprintf(text, sizeof(text), "END RequestId: %s\n", invocation->request_id);
    put_text(instance, invocation, slice_from(text, (size_t)len));
    len = snprintf(
        text, sizeof(text),
        "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %llu ms\tMemory Size: %u MB\tMax Memory "
        "Used: %llu MB\t",
        invocation->request_id, (double)duration_us / 1000.0, (unsigned long long)billed_ms, f->memory_mb,
        (unsigned long long)used_mb);
    if (invocation->cold)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "Init Duration: %.2f ms\t",
                        (double)instance->init_us / 1000.0);
    if (status != NULL)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "Status: %s", status);
    if (status != NULL && error_type != NULL)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "\tError Type: %s", error_type);
    text[len++] = '\n';
    put_text(instance, invocation, slice_from(text, (size_t)len));
}

/* One line of a function's output is one event. Our bootstraps write a line break inside a message as CR, as Lambda's do. */
static void put_line(struct instance *instance, struct slice line)
{
    struct invocation *invocation = instance->invocation;
    instance->log_bytes += line.len + LOG_EVENT_BYTES;
    if (instance->log_bytes > ENGINE_LOG_BYTES_A_CALL_MAX) {
        report_log(instance, invocation, SLICE("hearth: too much output; the rest is dropped\n"));
        instance->log_cut = true;
        return;
    }
    if (line.len > 0 && memchr(line.at, '\r', line.len) != NULL) {
        struct buffer copy = BUFFER_EMPTY;
        buffer_append_slice(&copy, line);
        for (size_t i = 0; i + 1 < copy.len; i++)
            if (copy.at[i] == '\r')
                copy.at[i] = '\n';
        put_text(instance, invocation, buffer_slice(&copy));
        buffer_drop(&copy);
        return;
    }
    put_text(instance, invocation, line);
}

void report_output(struct instance *instance, struct output *output, struct slice bytes)
{
    while (bytes.len > 0 && !instance->log_cut) {
        size_t end = 0;
        bool whole = slice_find(bytes, '\n', &end);
        struct slice part = whole ? slice_sub(bytes, 0, end + 1) : bytes;
        size_t room = ENGINE_LOG_LINE_BYTES_MAX - output->line.len;
        if (part.len > room) { /* longer than an event may be: it becomes several */
            part = slice_sub(part, 0, room);
            whole = true;
        }
        if (whole && output->line.len == 0) {
            put_line(instance, part);
        } else {
            buffer_append_slice(&output->line, part);
            if (whole)
                report_output_flush(instance, output);
        }
        bytes = slice_sub(bytes, part.len, bytes.len);
    }
}

void report_output_flush(struct instance *instance, struct output *output)
{
    if (output->line.len == 0 || instance->log_cut) {
        buffer_reset(&output->line);
        return;
    }
    if (output->line.at[output->line.len - 1] != '\n')
        buffer_append_byte(&output->line, '\n');
    put_line(instance, buffer_slice(&output->line));
    buffer_reset(&output->line);
}

void report_error_json(struct buffer *out, const char *type, const char *request_id, const char *message)
{
    buffer_append_text(out, "{\"errorType\":");
    json_append_string(out, slice_of(type));
    buffer_append_text(out, ",\"errorMessage\":");
    struct buffer text = BUFFER_EMPTY;
    buffer_appendf(&text, "RequestId: %s Error: %s", request_id, message);
    json_append_string(out, buffer_slice(&text));
    buffer_drop(&text);
    buffer_append_byte(out, '}');
}

void report_exit_text(int wait_status, char out[128])
{
    if (WIFSIGNALED(wait_status)) { /* in the words of Go's os package, which Lambda prints */
        static const struct {
            int number;
            const char *name;
        } names[] = {
            { SIGKILL, "killed" },
            { SIGSEGV, "segmentation fault" },
            { SIGABRT, "aborted" },
            { SIGTERM, "terminated" },
            { SIGBUS, "bus error" },
            { SIGILL, "illegal instruction" },
            { SIGFPE, "floating point exception" },
            { SIGTRAP, "trace/breakpoint trap" },
            { SIGSYS, "bad system call" },
            { SIGINT, "interrupt" },
            { SIGPIPE, "broken pipe" },
            { SIGHUP, "hangup" },
        };
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (names[i].number == WTERMSIG(wait_status)) {
                (void)snprintf(out, 128, "Runtime exited with error: signal: %s", names[i].name);
                return;
            }
        (void)snprintf(out, 128, "Runtime exited with error: signal: signal %d", WTERMSIG(wait_status));
        return;
    }
    if (WEXITSTATUS(wait_status) == 0)
        (void)snprintf(out, 128, "Runtime exited without providing a reason");
    else
        (void)snprintf(out, 128, "Runtime exited with error: exit status %d", WEXITSTATUS(wait_status));
}
