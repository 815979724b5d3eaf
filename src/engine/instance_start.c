/* The beginning of an instance: its ends, its key, its environment, the word to the keeper. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/private.h"

enum { INSTANCE_KEY_MS = 12 * 3600 * 1000 };
enum { CHANNEL_SO_PASSRIGHTS = 83 }; /* asm-generic/socket.h; older headers do not have it */

static void name_stream(struct instance *i)
{
    unsigned char noise[16];
    struct buffer hex = BUFFER_EMPTY;
    char now[CLOCK_TEXT_BYTES];
    random_bytes(noise, sizeof(noise));
    codec_hex(&hex, slice_from(noise, sizeof(noise)));
    clock_iso_ms(clock_wall_ms(), now);
    const struct function *f = i->pool->function;
    char usual[FUNCTION_NAME_BYTES_MAX + 16];
    (void)snprintf(usual, sizeof(usual), "/aws/lambda/%s", f->name);
    /* In a group of its own choice a function shares it with others: its name tells the streams apart. */
    (void)snprintf(i->stream, sizeof(i->stream), "%.4s/%.2s/%.2s/%s[%s]%s", now, now + 5, now + 8,
                   strcmp(f->log_group, usual) == 0 ? "" : f->name, f->version, buffer_text(&hex));
    buffer_drop(&hex);
}

/* Ours: non-blocking. Theirs: blocking, as the bootstrap's recv() is to be. stdout and stderr are one pipe: their lines stay in the order in which they were printed. */
static enum outcome make_ends(int channel[2], int out[2], int *err_end, struct error *err)
{
    static const char hint[] = "Raise the limit of open files (LimitNOFILE, ulimit -n).";
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
        return error_set_sys(err, errno, hint, "could not make an instance's channel");
    /* No descriptors for us: the last to close one may have to wait for its end (SO_LINGER). Linux 6.16; before that the
     * filter in the sandbox helps. */
    int off = 0;
    (void)setsockopt(channel[0], SOL_SOCKET, CHANNEL_SO_PASSRIGHTS, &off, sizeof(off));
    if (pipe2(out, O_CLOEXEC) < 0 || (*err_end = fcntl(out[1], F_DUPFD_CLOEXEC, 0)) < 0)
        return error_set_sys(err, errno, hint, "could not make an instance's pipe");
    int ours[] = { channel[0], out[0] };
    for (size_t k = 0; k < 2; k++)
        if (fcntl(ours[k], F_SETFL, fcntl(ours[k], F_GETFL) | O_NONBLOCK) < 0)
            return error_set_sys(err, errno, hint, "could not prepare an instance's channel");
    return OK;
}

static void make_key(struct instance *i)
{
    struct slice role = slice_of(i->pool->function->role);
    size_t slash = 0;
    while (slice_find(role, '/', &slash))
        role = slice_sub(role, slash + 1, role.len);
    i->principal = *keyring_add_instance(i->engine->config.keyring, role, slice_of(i->pool->function->name),
                                         clock_wall_ms() + INSTANCE_KEY_MS);
    i->has_key = true;
}

/* Layers of different names may have the same content. Overlayfs refuses a directory that lies over itself, and only the uppermost has an effect. */
static bool lies_above(const struct function *f, size_t k)
{
    for (size_t above = k + 1; above < f->layer_count; above++)
        if (strcmp(f->layers[above].digest, f->layers[k].digest) == 0)
            return true;
    return false;
}

static void name_additions(const struct function *f, struct keeper_start *start)
{
    static_assert((int)FUNCTION_LAYERS_MAX <= (int)KEEPER_LAYERS_MAX, "each layer has its place");
    size_t count = 0;
    for (size_t k = 0; k < f->layer_count; k++)
        if (!lies_above(f, k))
            (void)snprintf(start->layers[count++], sizeof(start->layers[0]), "%s", f->layers[k].digest);
    for (size_t k = 0; k < f->environment_count; k++)
        if (strcmp(f->environment[k].name, "AWS_LAMBDA_EXEC_WRAPPER") == 0)
            (void)snprintf(start->wrapper, sizeof(start->wrapper), "%s", f->environment[k].value);
}

enum outcome instance_start(struct pool *pool, struct error *err)
{
    struct engine *engine = pool->engine;
    struct function *f = pool->function;
    AUTO(fd)
    int channel0 = -1;
    AUTO(fd)
    int channel1 = -1;
    AUTO(fd)
    int out0 = -1;
    AUTO(fd)
    int out1 = -1;
    AUTO(fd)
    int err1 = -1;
    int channel[2] = { -1, -1 }, out[2] = { -1, -1 };
    enum outcome made = make_ends(channel, out, &err1, err);
    channel0 = channel[0], channel1 = channel[1], out0 = out[0], out1 = out[1];
    TRY(made);

    struct instance *i = memory_new(sizeof(*i));
    i->engine = engine;
    i->pool = pool;
    i->state = INSTANCE_STARTING;
    i->id = ++engine->next_id;
    i->proc_status = -1;
    i->start_us = clock_mono_us();
    i->meters = (struct keeper_meters){ -1, -1, -1, -1, -1, -1, 0 };
    name_stream(i);
    make_key(i);

    struct buffer environment = BUFFER_EMPTY;
    environment_block(i, &environment);
    struct keeper_start start = { .id = i->id,
                                  .memory_mb = f->memory_mb,
                                  .tmp_mb = f->tmp_mb,
                                  .environment = buffer_slice(&environment),
                                  .channel = fd_take(&channel1),
                                  .out = fd_take(&out1),
                                  .err = fd_take(&err1) };
    (void)snprintf(start.runtime, sizeof(start.runtime), "%s", f->runtime->id);
    (void)snprintf(start.actual, sizeof(start.actual), "%s", pool->actual->id);
    (void)snprintf(start.digest, sizeof(start.digest), "%s", f->digest);
    name_additions(f, &start);
    enum outcome sent = keeper_send_start(engine->config.link, &start, err);
    buffer_wipe(&environment);
    if (sent != OK) {
        instance_forget_key(i);
        memory_wipe(&i->principal, sizeof(i->principal));
        free(i);
        return FAILED;
    }
    HASH_ADD(hh, engine->instances, id, sizeof(i->id), i);
    engine->instance_count++;
    engine->starting++;
    engine->cold_starts++;
    pool->instances++;
    pool->starting++;
    instance_listen(i, &channel0, &out0);
    return OK;
}
