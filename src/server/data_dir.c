#include "server/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/memory.h"

enum { DATA_DIR_MODE = 0700, SECRET_MODE = 0600, OPEN_MODE = 0644 };

/* mkdir -p; parents get the usual mode, the last one ours. */
static void make_parents(const char *path)
{
    AUTO(text)
    char *copy = memory_text(path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(copy, 0755);
        *slash = '/';
    }
}

enum outcome data_dir_open(const char *path, int *dir, int *lock, struct error *err)
{
    make_parents(path);
    AUTO(fd)
    int opened = -1;
    TRY(dir_open(AT_FDCWD, path, true, DATA_DIR_MODE, &opened, err));
    AUTO(fd)
    int held = openat(opened, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, SECRET_MODE);
    if (held < 0)
        return error_set_sys(err, errno,
                             "Run as the user that the data directory belongs to, or give another --data.",
                             "could not open the lock in \"%s\"", path);
    if (flock(held, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, ERROR_CONFLICT, "Stop the other server, or give this one its own --data.",
                         "another server runs on the data directory \"%s\"", path);
    if (fchmod(opened, DATA_DIR_MODE) < 0)
        return error_set_sys(err, errno, "Run as the user that the data directory belongs to.",
                             "could not close the data directory \"%s\" to others", path);
    *dir = fd_take(&opened);
    *lock = fd_take(&held);
    return OK;
}

/* Nothing below is followed: links stay links. Only what is not the server's yet is touched. */
static int give_tree(int dir, uid_t uid, gid_t gid, int depth)
{
    enum { DEPTH_MAX = 64 };
    int result = 0;
    int fd = depth > DEPTH_MAX ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        fd_drop(&fd);
        return -1;
    }
    struct dirent *entry;
    while (result == 0 && (entry = readdir(stream)) != NULL) {
        struct stat info;
        bool keepers = depth == 0 && strcmp(entry->d_name, "sandbox") == 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || keepers)
            continue;
        if (fstatat(dir, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (info.st_uid == uid)
            continue; /* a tree was given as a whole: its top last */
        if (S_ISDIR(info.st_mode)) {
            AUTO(fd)
            int below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            result = below < 0 ? -1 : give_tree(below, uid, gid, depth + 1);
        }
        if (result == 0)
            result = fchownat(dir, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW);
    }
    (void)closedir(stream);
    return result;
}

enum outcome data_dir_give(int dir, uid_t uid, gid_t gid, struct error *err)
{
    if (give_tree(dir, uid, gid, 0) < 0 || fchown(dir, uid, gid) < 0)
        return error_set_sys(err, errno, "Start with rights on the data directory, or give another --uid-base.",
                             "could not give the data directory to user %u", uid);
    return OK;
}

enum outcome data_dir_write_aws_files(int dir, const struct data_dir_facts *facts, struct error *err)
{
    static const char *const profiles[] = { "default", "hearth" };
    struct buffer credentials = BUFFER_EMPTY, config = BUFFER_EMPTY;
    for (size_t k = 0; k < 2; k++) {
        buffer_appendf(&credentials, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", profiles[k],
                       facts->access_key, facts->secret);
        buffer_appendf(&config,
                       "[%s%s]\nregion = %s\noutput = json\nendpoint_url = %s\n"
                       "cli_binary_format = raw-in-base64-out\ncli_pager =\n",
                       k == 0 ? "" : "profile ", profiles[k], facts->region, facts->api_url);
    }
    enum outcome outcome = file_replace(dir, "credentials", buffer_slice(&credentials), SECRET_MODE, err);
    if (outcome == OK)
        outcome = file_replace(dir, "config", buffer_slice(&config), OPEN_MODE, err);
    buffer_wipe(&credentials);
    buffer_drop(&config);
    return outcome;
}

enum outcome data_dir_write_endpoints(int dir, const struct data_dir_facts *facts, struct error *err)
{
    struct buffer json = BUFFER_EMPTY;
    buffer_appendf(&json, "{\"api\": \"%s\", \"gateway\": \"%s\"}\n", facts->api_url, facts->gateway_url);
    enum outcome outcome = file_replace(dir, "endpoints.json", buffer_slice(&json), OPEN_MODE, err);
    buffer_drop(&json);
    return outcome;
}

void data_dir_remove_endpoints(int dir)
{
    (void)unlinkat(dir, "endpoints.json", 0);
}
