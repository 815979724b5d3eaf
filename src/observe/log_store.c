/* Groups: each change is under the group's lock `disk`, and on disk before it is answered. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "observe/log_group.h"
#include "observe/log_line.h"

static void copy_tag(struct log_group_info *info, const char *name, const char *value)
{
    info->tags = memory_grow(info->tags, info->tag_count + 1, sizeof(*info->tags));
    info->tags[info->tag_count++] = (struct log_tag){ memory_text(name), memory_text(value) };
}

static enum outcome make_group(struct function_logs *logs, struct log_group *group,
                               const struct log_group_info *info, struct error *err)
{
    AUTO(fd)
    int dir = -1;
    if (mkdirat(logs->dir, group->name, 0700) < 0) {
        if (errno == EEXIST)
            return error_set_code(err, ERROR_EXISTS, "ResourceAlreadyExistsException", "Use the one that is there.",
                                  "The specified log group already exists");
        return error_set_sys(err, errno, log_hint_disk, "could not make a log group");
    }
    enum outcome outcome = dir_open(logs->dir, group->name, false, 0, &dir, err);
    if (outcome == OK)
        outcome = log_info_write(dir, info, true, err);
    if (outcome == OK && fsync(logs->dir) < 0)
        outcome = error_set_sys(err, errno, log_hint_disk, "could not make a log group durable");
    if (outcome != OK) { /* nothing is half there */
        struct error ignored;
        if (dir_remove(logs->dir, group->name, &ignored) != OK)
            outcome = FAILED; /* with the first error */
    } else
        (void)__atomic_add_fetch(&logs->group_count, 1, __ATOMIC_RELAXED);
    group->known = false;
    return outcome;
}

enum outcome log_store_create_group(struct function_logs *logs, struct log_group *group, const struct log_tag *tags,
                                    size_t tag_count, struct error *err)
{
    struct log_group_info info = { .name = memory_text(group->group), .created_ms = clock_wall_ms() };
    if (__atomic_load_n(&logs->group_count, __ATOMIC_RELAXED) >= LOGS_GROUPS_MAX) {
        log_group_info_drop(&info);
        return error_set_code(err, ERROR_INVALID, "LimitExceededException", "Delete groups that nobody needs.",
                              "Resource limit exceeded.");
    }
    for (size_t i = 0; i < tag_count; i++)
        copy_tag(&info, tags[i].name, tags[i].value);
    log_info_new_id(&info);
    (void)pthread_mutex_lock(&group->disk);
    log_group_flush_or_tell(logs, group); /* its function's lines make it, perhaps */
    enum outcome outcome = make_group(logs, group, &info, err);
    (void)pthread_mutex_unlock(&group->disk);
    log_group_info_drop(&info);
    return outcome;
}

enum outcome log_store_delete_group(struct function_logs *logs, struct log_group *group, struct error *err)
{
    char trash[64];
    struct error ignored;
    (void)snprintf(trash, sizeof(trash), ".deleted-%d-%u", (int)getpid(),
                   __atomic_add_fetch(&logs->trash, 1, __ATOMIC_RELAXED));
    (void)pthread_mutex_lock(&group->disk);
    log_group_flush_or_tell(logs, group); /* what was printed before goes, too */
    enum outcome outcome = OK;
    if (renameat(logs->dir, group->name, logs->dir, trash) < 0)
        outcome = errno == ENOENT ? log_no_such_group(err)
                                  : error_set_sys(err, errno, log_hint_disk, "could not delete a log group");
    else {
        (void)__atomic_sub_fetch(&logs->group_count, 1, __ATOMIC_RELAXED);
        if (fsync(logs->dir) < 0)
            outcome = error_set_sys(err, errno, log_hint_disk, "could not make a deletion durable");
    }
    group->known = false;
    (void)pthread_mutex_unlock(&group->disk);
    if (outcome == OK && dir_remove(logs->dir, trash, &ignored) != OK)
        log_error("logs", &ignored, "what is left of a deleted log group goes at the next start");
    return outcome;
}

/* Reads what the group is, lets `change` change it, and writes that. Under disk. */
typedef enum outcome change_fn(struct log_group_info *info, void *arg, struct error *err);
static enum outcome change_info(struct function_logs *logs, struct log_group *group, change_fn *change, void *arg,
                                struct log_group_info *info, int *dir, struct error *err)
{
    TRY(log_group_flush(logs, group, err)); /* its function's first line may be what makes it */
    TRY(log_group_open(logs, group, dir, err));
    TRY(log_info_read(*dir, slice_of(group->group), info, err));
    if (strcmp(info->id, "0") == 0)
        log_info_new_id(info);
    TRY(change(info, arg, err));
    return log_info_write(*dir, info, true, err);
}

static enum outcome put_retention(struct log_group_info *info, void *arg, struct error *err)
{
    (void)err;
    info->retention_days = *(unsigned *)arg;
    return OK;
}

enum outcome log_store_set_retention(struct function_logs *logs, struct log_group *group, unsigned days,
                                     struct error *err)
{
    struct log_group_info info = { .name = NULL };
    AUTO(fd)
    int dir = -1;
    (void)pthread_mutex_lock(&group->disk);
    enum outcome outcome = change_info(logs, group, put_retention, &days, &info, &dir, err);
    if (outcome == OK && days > 0)
        log_group_expire(logs, group, dir, log_info_oldest_ms(&info, clock_wall_ms()), true);
    (void)pthread_mutex_unlock(&group->disk);
    log_group_info_drop(&info);
    return outcome;
}

struct tag_change {
    const struct log_tag *add;
    const struct slice *remove;
    size_t add_count, remove_count;
};

static void remove_tag(struct log_group_info *info, struct slice name)
{
    for (size_t i = 0; i < info->tag_count; i++)
        if (slice_is(name, info->tags[i].name)) {
            free(info->tags[i].name);
            free(info->tags[i].value);
            info->tags[i] = info->tags[--info->tag_count];
            return;
        }
}

static enum outcome put_tags(struct log_group_info *info, void *arg, struct error *err)
{
    const struct tag_change *change = arg;
    for (size_t i = 0; i < change->add_count; i++) {
        remove_tag(info, slice_of(change->add[i].name));
        copy_tag(info, change->add[i].name, change->add[i].value);
    }
    for (size_t i = 0; i < change->remove_count; i++)
        remove_tag(info, change->remove[i]);
    if (info->tag_count > LOGS_TAGS_MAX)
        return error_set_code(err, ERROR_INVALID, "TooManyTagsException", "Remove tags first.",
                              "The resource can have no more than %d tags.", LOGS_TAGS_MAX);
    return OK;
}

enum outcome log_store_change_tags(struct function_logs *logs, struct log_group *group, const struct log_tag *add,
                                   size_t add_count, const struct slice *remove, size_t remove_count,
                                   struct error *err)
{
    struct tag_change change = { add, remove, add_count, remove_count };
    struct log_group_info info = { .name = NULL };
    AUTO(fd)
    int dir = -1;
    (void)pthread_mutex_lock(&group->disk);
    enum outcome outcome = change_info(logs, group, put_tags, &change, &info, &dir, err);
    (void)pthread_mutex_unlock(&group->disk);
    log_group_info_drop(&info);
    return outcome;
}

enum outcome log_store_group_info(struct function_logs *logs, struct log_group *group, struct log_group_info *out,
                                  struct error *err)
{
    AUTO(fd)
    int dir = -1;
    (void)pthread_mutex_lock(&group->disk);
    log_group_flush_or_tell(logs, group);
    (void)pthread_mutex_unlock(&group->disk);
    TRY(log_group_open(logs, group, &dir, err));
    return log_info_read(dir, slice_of(group->group), out, err);
}

/* ---- the list of groups ---- */

/* Lines that wait may be a group's first. */
static void flush_all(struct function_logs *logs)
{
    struct log_group **list = NULL, *group;
    size_t count = 0;
    (void)pthread_mutex_lock(&logs->shared.lock);
    for (group = logs->shared.dirty; group != NULL; group = group->next_dirty)
        count++;
    list = memory_new_array(count + 1, sizeof(*list));
    count = 0;
    for (group = logs->shared.dirty; group != NULL; group = group->next_dirty) {
        group->pins++;
        list[count++] = group;
    }
    (void)pthread_mutex_unlock(&logs->shared.lock);
    for (size_t i = 0; i < count; i++) {
        (void)pthread_mutex_lock(&list[i]->disk);
        log_group_flush_or_tell(logs, list[i]);
        (void)pthread_mutex_unlock(&list[i]->disk);
        function_logs_unpin(logs, list[i]);
    }
    free(list);
}

static uint64_t files_bytes(int dir)
{
    unsigned long first = 0, last = 0;
    uint64_t bytes = 0;
    log_files_scan(dir, &first, &last);
    for (unsigned long serial = first; serial != 0 && serial <= last; serial++) {
        char name[LOG_FILE_NAME_BYTES];
        struct stat info;
        log_file_name(serial, name);
        if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)info.st_size;
    }
    return bytes;
}

/* The name of a group by its directory; false: this is none. */
static bool name_of(const struct function_logs *logs, const char *directory, struct buffer *name)
{
    struct log_group_info info;
    struct error err;
    AUTO(fd)
    int dir = -1;
    buffer_reset(name);
    if (directory[0] == '.')
        return false;
    if (log_group_of_directory(slice_of(directory), name))
        return true;
    buffer_reset(name);
    if (dir_open(logs->dir, directory, false, 0, &dir, &err) != OK ||
        log_info_read(dir, SLICE_EMPTY, &info, &err) != OK)
        return false;
    buffer_append_text(name, info.name);
    log_group_info_drop(&info);
    return name->len > 0;
}

struct listing {
    char **names; /* sorted, the first `max + 1` that were asked for */
    size_t count, max;
};

static void listing_add(struct listing *list, struct slice name)
{
    size_t at = list->count;
    while (at > 0 && slice_compare(name, slice_of(list->names[at - 1])) < 0)
        at--;
    if (at > list->max)
        return;
    if (list->count > list->max)
        free(list->names[--list->count]);
    memmove(list->names + at + 1, list->names + at, (list->count - at) * sizeof(*list->names));
    list->names[at] = slice_dup(name);
    list->count++;
}

static bool contains(struct slice text, struct slice part)
{
    return part.len == 0 || (text.len > 0 && memmem(text.at, text.len, part.at, part.len) != NULL);
}

static bool describe(const struct function_logs *logs, const char *name, struct log_group_info *out)
{
    AUTO(buffer)
    struct buffer directory = BUFFER_EMPTY;
    AUTO(fd)
    int dir = -1;
    struct error err;
    log_group_directory(&directory, slice_of(name));
    if (dir_open(logs->dir, buffer_text(&directory), false, 0, &dir, &err) != OK ||
        log_info_read(dir, slice_of(name), out, &err) != OK)
        return false;
    out->stored_bytes = files_bytes(dir);
    return true;
}

enum outcome log_store_groups(struct function_logs *logs, struct slice prefix, struct slice pattern,
                              struct slice after, size_t max, struct log_group_info **out, size_t *count,
                              bool *more, struct error *err)
{
    flush_all(logs);
    int fd = openat(logs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        fd_drop(&fd);
        return error_set_sys(err, errno, log_hint_disk, "could not read the directory of logs");
    }
    struct listing list = { .names = memory_new_array(max + 2, sizeof(char *)), .max = max };
    struct buffer name = BUFFER_EMPTY;
    struct dirent *entry;
    while ((entry = readdir(stream)) != NULL)
        if (name_of(logs, entry->d_name, &name) && slice_starts(buffer_slice(&name), prefix) &&
            contains(buffer_slice(&name), pattern) &&
            (after.len == 0 || slice_compare(buffer_slice(&name), after) > 0))
            listing_add(&list, buffer_slice(&name));
    (void)closedir(stream);
    buffer_drop(&name);
    *more = list.count > max;
    *count = 0;
    *out = memory_new_array(max + 1, sizeof(**out));
    for (size_t i = 0; i < list.count; i++) {
        if (i < max && describe(logs, list.names[i], &(*out)[*count]))
            (*count)++;
        free(list.names[i]);
    }
    free(list.names);
    return OK;
}
