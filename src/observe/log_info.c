/* DATA/logs/<group>/group: what a group is, as lines of fields between tabs, escaped as log lines are. "end" tells that it is whole.
 *     hearth-log-group 1
 *     name  /aws/lambda/hello
 *     id    9f...
 *     created 1700000000000
 *     retention 7
 *     tag   team  blue
 *     end */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/fd.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

static const char info_file[] = "group";
static const char info_head[] = "hearth-log-group 1";
enum { INFO_BYTES_MAX = 128 * 1024, ID_RANDOM_BYTES = 16, HEAD_BYTES = 64 };
enum { DAY_MS = 24 * 60 * 60 * 1000, RETENTION_DAYS_MAX = 3653 };

const char log_hint_disk[] = "Check the disk that holds the data directory.";

enum outcome log_no_such_group(struct error *err)
{
    return error_set_code(err, ERROR_NOT_FOUND, "ResourceNotFoundException", "Create it first.",
                          "The specified log group does not exist.");
}

void log_group_info_drop(struct log_group_info *info)
{
    for (size_t i = 0; i < info->tag_count; i++) {
        free(info->tags[i].name);
        free(info->tags[i].value);
    }
    free(info->tags);
    free(info->name);
    *info = (struct log_group_info){ .name = NULL };
}

void log_info_new_id(struct log_group_info *info)
{
    unsigned char noise[ID_RANDOM_BYTES];
    struct buffer text = BUFFER_EMPTY;
    random_bytes(noise, sizeof(noise));
    codec_hex(&text, slice_from(noise, sizeof(noise)));
    (void)snprintf(info->id, sizeof(info->id), "%s", buffer_text(&text));
    buffer_drop(&text);
}

int64_t log_info_oldest_ms(const struct log_group_info *info, int64_t now_ms)
{
    int64_t oldest = now_ms - (int64_t)info->retention_days * DAY_MS;
    return info->retention_days == 0 || oldest < 0 ? 0 : oldest;
}

static void put_field(struct buffer *out, const char *key, const char *value, const char *second)
{
    buffer_append_text(out, key);
    buffer_append_byte(out, '\t');
    log_escape(out, slice_of(value));
    if (second != NULL) {
        buffer_append_byte(out, '\t');
        log_escape(out, slice_of(second));
    }
    buffer_append_byte(out, '\n');
}

void log_info_print(const struct log_group_info *info, struct buffer *out)
{
    buffer_appendf(out, "%s\n", info_head);
    put_field(out, "name", info->name, NULL);
    put_field(out, "id", info->id, NULL);
    buffer_appendf(out, "created\t%lld\n", (long long)info->created_ms);
    if (info->retention_days > 0)
        buffer_appendf(out, "retention\t%u\n", info->retention_days);
    for (size_t i = 0; i < info->tag_count; i++)
        put_field(out, "tag", info->tags[i].name, info->tags[i].value);
    buffer_append_text(out, "end\n");
}

static char *take_text(struct slice escaped)
{
    struct buffer text = BUFFER_EMPTY;
    char *copy = NULL;
    if (log_unescape(&text, escaped) && memchr(text.at == NULL ? "" : text.at, '\0', text.len) == NULL)
        copy = slice_dup(buffer_slice(&text));
    buffer_drop(&text);
    return copy;
}

static bool take_tag(struct log_group_info *info, struct slice rest)
{
    if (info->tag_count == LOGS_TAGS_MAX)
        return false;
    info->tags = memory_grow(info->tags, info->tag_count + 1, sizeof(*info->tags));
    struct log_tag *tag = &info->tags[info->tag_count++];
    tag->name = take_text(slice_split(&rest, '\t'));
    tag->value = take_text(rest);
    return tag->name != NULL && tag->value != NULL;
}

static bool take_field(struct log_group_info *info, struct slice line)
{
    uint64_t number = 0;
    struct slice rest = line, key = slice_split(&rest, '\t');
    if (slice_is(key, "tag"))
        return take_tag(info, rest);
    if (slice_is(key, "name") && info->name == NULL)
        return (info->name = take_text(rest)) != NULL;
    if (slice_is(key, "id") && rest.len > 0 && rest.len < sizeof(info->id)) {
        (void)snprintf(info->id, sizeof(info->id), "%.*s", SLICE_PRINT(rest));
        return true;
    }
    if (slice_is(key, "created") && slice_to_u64(rest, INT64_MAX, &number)) {
        info->created_ms = (int64_t)number;
        return true;
    }
    if (slice_is(key, "retention") && slice_to_u64(rest, RETENTION_DAYS_MAX, &number)) {
        info->retention_days = (unsigned)number;
        return true;
    }
    return false;
}

bool log_info_parse(struct slice text, struct log_group_info *out)
{
    struct log_group_info info = { .name = NULL };
    bool good = slice_is(slice_split(&text, '\n'), info_head), whole = false;
    while (good && text.len > 0 && !whole) {
        struct slice line = slice_split(&text, '\n');
        whole = slice_is(line, "end");
        good = whole || take_field(&info, line);
    }
    if (!good || !whole || info.name == NULL || info.id[0] == '\0') {
        log_group_info_drop(&info);
        return false;
    }
    *out = info;
    return true;
}

/* Without a file of its own: a group of the first format, or one whose function's first line came just before a power loss. */
static void guess(int dir, struct slice group, struct log_group_info *out)
{
    unsigned long first = 0, last = 0;
    struct stat info = { 0 };
    *out = (struct log_group_info){ .name = slice_dup(group) };
    (void)snprintf(out->id, sizeof(out->id), "0");
    if (fstat(dir, &info) == 0)
        out->created_ms = (int64_t)info.st_mtim.tv_sec * 1000;
    log_files_scan(dir, &first, &last);
    char name[LOG_FILE_NAME_BYTES], head[HEAD_BYTES];
    log_file_name(first, name);
    AUTO(fd)
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
    struct slice text = slice_from(head, got > 0 ? (size_t)got : 0);
    uint64_t time = 0;
    if (slice_to_u64(slice_split(&text, '\t'), INT64_MAX, &time))
        out->created_ms = (int64_t)time;
}

enum outcome log_info_read(int dir, struct slice group, struct log_group_info *out, struct error *err)
{
    struct buffer text = BUFFER_EMPTY;
    struct error why = { 0 };
    struct stat info;
    enum outcome outcome = file_read(dir, info_file, INFO_BYTES_MAX, &text, &why);
    bool good = outcome == OK && log_info_parse(buffer_slice(&text), out);
    buffer_drop(&text);
    if (good)
        return OK;
    if (outcome != OK && why.kind != ERROR_NOT_FOUND && why.kind != ERROR_TOO_LARGE) {
        if (err != NULL)
            *err = why;
        return FAILED;
    }
    if (fstat(dir, &info) == 0 && info.st_nlink == 0) /* deleted meanwhile */
        return log_no_such_group(err);
    guess(dir, group, out);
    return OK;
}

enum outcome log_info_write(int dir, const struct log_group_info *info, bool synced, struct error *err)
{
    static const char aside[] = "group.new";
    AUTO(buffer)
    struct buffer text = BUFFER_EMPTY;
    log_info_print(info, &text);
    if (synced)
        return file_replace(dir, info_file, buffer_slice(&text), 0600, err);
    /* A function's first line must not wait for the disk: after a power loss the group's lines tell what it was. */
    AUTO(fd)
    int fd = openat(dir, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_sys(err, errno, log_hint_disk, "could not write what a log group is");
    TRY(fd_write_all(fd, buffer_slice(&text), err));
    if (renameat(dir, aside, dir, info_file) < 0)
        return error_set_sys(err, errno, log_hint_disk, "could not write what a log group is");
    return OK;
}

enum outcome log_group_open(const struct function_logs *logs, const struct log_group *group, int *dir,
                            struct error *err)
{
    struct error why = { 0 };
    if (dir_open(logs->dir, group->name, false, 0, dir, &why) == OK)
        return OK;
    if (why.kind == ERROR_NOT_FOUND)
        return log_no_such_group(err);
    if (err != NULL)
        *err = why;
    return FAILED;
}
