/* observe/log_group: what the files of this room share about one group of logs. The room's own.
 *   function_logs.c       the loop's side, the writer thread, pins, work on other threads
 *   log_group.c           appending to a group's files, and deleting them: under its lock `disk`
 *   log_info.c            the file that tells what a group is
 *   log_journal.c         streams that were created without a line, or deleted
 *   log_index.c           what a reader remembers of the files: under its lock `index_lock`
 *   log_query.c           events out of the files
 *   log_store*.c          the operations of log_store.h
 * Locks, outer before inner: index_lock, disk, shared.lock. */
#pragma once

#include <pthread.h>
#include <uthash.h>

#include "observe/log_store.h"

struct log_index;

struct log_group {
    char *group; /* its key */
    char *name;  /* as its directory is called */
    /* under shared.lock */
    struct buffer pending; /* lines to write */
    bool dirty;            /* in the dirty list */
    struct log_group *next_dirty;
    unsigned pins; /* workers that have it */
    struct log_group *lru_prev, *lru_next;
    bool in_lru;        /* has an index; most recently used first */
    size_t index_bytes; /* as the LRU counts it */
    UT_hash_handle hh;
    /* under disk: who appends */
    pthread_mutex_t disk;
    bool known; /* what follows has been read from the directory */
    unsigned long first, last;
    size_t last_bytes;
    int64_t last_newest_ms; /* newest event of the last file, of what was appended since it is known */
    bool last_is_whole;     /* that counts all of its events */
    unsigned truncations;   /* how often half a batch was cut off again; atomic */
    /* under index_lock: who reads */
    pthread_mutex_t index_lock;
    struct log_index *index; /* NULL until somebody asks */
};

struct function_logs {
    uv_loop_t *loop;
    int dir; /* DATA/logs */
    pthread_t writer;
    uint64_t complained_us; /* when a full disk was told last; atomic */
    unsigned trash;         /* names of directories that are being deleted; atomic */
    unsigned group_count;   /* about: checked against LOGS_GROUPS_MAX; atomic */
    struct {                /* the loop's: work on other threads */
        struct log_work *waiting, *running;
        unsigned running_count;
    } works;
    struct { /* shared by the loop, the writer and workers */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct log_group *groups;
        struct log_group *dirty;
        struct log_group *lru;
        size_t bytes, index_bytes;
        uint64_t dropped;
        bool closing;
    } shared;
};

extern const char log_hint_disk[];

/* ---- log_group.c: all under group->disk ---- */

/* Writes what waits in group->pending. Takes shared.lock for a moment. */
MUST_CHECK enum outcome log_group_flush(struct function_logs *logs, struct log_group *group, struct error *err);
/* The same where the caller cannot help it: what the disk does not take is lost, and told now and then. */
void log_group_flush_or_tell(struct function_logs *logs, struct log_group *group);
/* All of `lines` in one piece in one file, or nothing of them. */
MUST_CHECK enum outcome log_group_append(struct function_logs *logs, struct log_group *group, struct slice lines,
                                         int64_t newest_ms, struct error *err);
/* Where the next line will stand. The group must exist. */
MUST_CHECK enum outcome log_group_end(struct function_logs *logs, struct log_group *group, unsigned long *serial,
                                      uint32_t *offset, struct error *err);
/* Deletes files without an event younger than `oldest_ms`. exact: reads files to know, else trusts their times. */
void log_group_expire(struct function_logs *logs, struct log_group *group, int dir, int64_t oldest_ms, bool exact);

/* ---- log_info.c ---- */

/* What the group's file says, or, where there is none (the first format, a crash), what can be told from its lines.
 *   err  ERROR_NOT_FOUND/ResourceNotFoundException */
MUST_CHECK enum outcome log_info_read(int dir, struct slice group, struct log_group_info *out, struct error *err);
/* synced: also against power loss. */
MUST_CHECK enum outcome log_info_write(int dir, const struct log_group_info *info, bool synced, struct error *err);
void log_info_new_id(struct log_group_info *info);
MUST_CHECK bool log_info_parse(struct slice text, struct log_group_info *out);
void log_info_print(const struct log_group_info *info, struct buffer *out);
int64_t log_info_oldest_ms(const struct log_group_info *info, int64_t now_ms); /* by its retention; 0: all stay */
enum outcome log_no_such_group(struct error *err);
/* Opens the group's directory.  err: ERROR_NOT_FOUND/ResourceNotFoundException */
MUST_CHECK enum outcome log_group_open(const struct function_logs *logs, const struct log_group *group, int *dir,
                                       struct error *err);

/* ---- log_journal.c ---- */

struct log_journal_entry {
    bool created; /* else deleted */
    int64_t created_ms;
    unsigned long serial; /* deleted: what stands before this is gone */
    uint32_t offset;
    struct slice stream; /* escaped */
};
typedef void log_journal_fn(const struct log_journal_entry *entry, void *arg);
/* Calls `each` for what stands behind *offset and moves it on; whole lines only. A journal that is not there is empty.
 * `inode` tells whether it is still the same file: when not, *offset is set to 0, *inode to the new one, and *other to true, before. */
MUST_CHECK enum outcome log_journal_read(int dir, uint64_t *inode, size_t *offset, bool *other,
                                         log_journal_fn *each, void *arg, struct error *err);
void log_journal_print(const struct log_journal_entry *entry, struct buffer *out);
/* Appends and syncs; *bytes is its size then. */
MUST_CHECK enum outcome log_journal_append(int dir, const struct log_journal_entry *entry, size_t *bytes,
                                           struct error *err);
MUST_CHECK enum outcome log_journal_replace(int dir, struct slice text, struct error *err);

/* ---- log_index.c: all under group->index_lock ---- */

struct log_block {
    uint32_t start, end; /* lines that begin in it, to the end of the last one */
    int64_t oldest_ms, newest_ms;
};
struct log_index_file {
    unsigned long serial;
    size_t scanned;
    struct log_block *blocks;
    size_t count, cap;
};
struct log_stream {
    char *name; /* escaped: its key */
    int64_t created_ms, first_ms, last_ms, ingested_ms;
    bool created, has_events;  /* neither: it is gone */
    unsigned long dead_serial; /* what stands before this was deleted; 0: nothing */
    uint32_t dead_offset;
    UT_hash_handle hh;
};
struct log_index {
    struct log_index *next_forgotten; /* function_logs.c's, once nobody uses it any more */
    char id[LOGS_GROUP_ID_BYTES];
    unsigned truncations;
    struct log_index_file *files; /* by serial, without gaps */
    size_t file_count, file_cap;
    struct log_stream *streams;
    size_t stream_bytes;
    size_t dead_count; /* streams with a dead_serial that files still reach back to */
    uint64_t journal_inode;
    size_t journal_bytes;
    struct log_stream *recent[64]; /* by the end of their names: lines of a few streams come mixed */
};
/* Makes or renews group->index. `dir` is the group's. */
MUST_CHECK enum outcome log_index_renew(struct log_group *group, int dir, const struct log_group_info *info,
                                        struct error *err);
struct log_stream *log_index_stream(struct log_index *index, struct slice escaped); /* NULL: none, also once gone */
bool log_index_is_dead(struct log_index *index, struct slice escaped, unsigned long serial, uint32_t offset);
size_t log_index_size(const struct log_index *index);
void log_index_free(struct log_index *index);

/* ---- log_query.c ---- */
MUST_CHECK enum outcome log_query_run(struct log_index *index, int dir, const struct log_query *query,
                                      struct log_page *out, struct error *err);
