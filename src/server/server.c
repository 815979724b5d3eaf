#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/seal.h"
#include "auth/sigv4.h"
#include "base/codec.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "events/async_queue.h"
#include "gateway/gateway.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "server/rights.h"
#include "services/code_link.h"
#include "services/service.h"
#include "store/functions.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum {
    SERVER_FLUSH_MS = 2000, /* draining: answers are on their way, clients that do not take them are cut */
    SERVER_INSTANCE_CONNECTIONS_MAX =
        128,                 /* from one instance to the API: they come out of our descriptors, not its own */
    SERVER_KEEPER_MS = 5000, /* at the end: the keeper cleans up */
    SELF_FD_LEAST = 64
}; /* above what children are given */

struct server {
    struct config config;
    uv_loop_t loop;
    int data_dir, lock;
    int api_fd, gateway_fd;
    char self
        [64]; /* this binary, as the unpacking child is started: by descriptor, since the path may be closed to our user */
    struct keeper_config keeper_config;
    char *runtime_dirs[KEEPER_RUNTIME_DIRS_MAX];
    char *share;
    struct keeper_link link;
    struct keeper_report report;
    struct store *store;
    struct seal *seal;
    struct keyring *keyring;
    struct package_store *packages;
    struct code_links *code_links;
    struct function_logs *logs;
    struct engine *engine;
    struct async_queue *async_queue;
    struct api *api;
    struct gateway *gateway;
    struct http_server *api_http, *gateway_http;
    struct http_server
        *instance_http; /* the API inside sandboxes: not drained, for calls that run may need it to the end */
    struct http_listener *api_listener, *gateway_listener;
    char api_url[160], gateway_url[160];
    char access_key[ACCESS_KEY_BYTES], secret[SECRET_KEY_BYTES];
    uv_signal_t on_term, on_int, on_hup;
    uv_timer_t flush_timer;
    bool stopping, engine_drained, closing;
    unsigned http_left; /* http servers that are not closed yet */
};

/* ---- starting ---- */

static enum outcome open_listeners(struct server *s, struct error *err)
{
    TRY(http_bind(s->config.api, &s->api_fd, err));
    return http_bind(s->config.gateway, &s->gateway_fd, err);
}

static void open_self(struct server *s)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, SELF_FD_LEAST);
    fd_drop(&fd);
    (void)snprintf(s->self, sizeof(s->self), "/proc/self/fd/%d", high);
}

/* One name a data directory, so that what a killed server left is found by the next one on it, and by no other. */
static char *server_name(const char *data)
{
    char hash[65];
    struct buffer name = BUFFER_EMPTY;
    char *real = realpath(data, NULL);
    sha256_hex(slice_of(real == NULL ? data : real), hash);
    free(real);
    buffer_appendf(&name, "hearth-%.12s", hash);
    char *text = slice_dup(buffer_slice(&name));
    buffer_drop(&name);
    return text;
}

static enum outcome start_keeper(struct server *s, struct error *err)
{
    s->share = s->config.share != NULL ? memory_text(s->config.share) : config_share_dir(&s->config);
    if (s->share == NULL)
        return error_set(err, ERROR_NOT_FOUND, "Run the binary where it was built or installed, or give --share.",
                         "could not find the runtimes' bootstraps");
    s->keeper_config = (struct keeper_config){
        .data_dir = s->data_dir,
        .share_dir = s->share,
        .runtime_dir_count = config_runtime_dirs(&s->config, s->runtime_dirs),
        .privileged = geteuid() == 0,
        .uid_base = (uid_t)s->config.uid_base,
        .name = server_name(s->config.data),
        .unsafe_no_sandbox = s->config.no_sandbox,
        .leave_cgroup_mounts = s->config.leave_cgroup_mounts,
    };
    for (size_t k = 0; k < s->keeper_config.runtime_dir_count; k++)
        s->keeper_config.runtime_dirs[k] = s->runtime_dirs[k];
    return keeper_fork(&s->keeper_config, &s->link, &s->report, err);
}

/* Everything that needs rights; afterwards we have none. */
static enum outcome start_privileged(struct server *s, struct error *err)
{
    TRY(data_dir_open(s->config.data, &s->data_dir, &s->lock, err));
    data_dir_remove_endpoints(s->data_dir); /* a killed one's: nobody answers there */
    TRY(open_listeners(s, err));
    open_self(s);
    rights_raise_files();
    TRY(start_keeper(s, err));
    rights_short_slice(); /* after the fork: neither keeper nor instances have it */
    if (geteuid() != 0)
        return OK;
    uid_t uid = (uid_t)s->config.uid_base;
    TRY(data_dir_give(s->data_dir, uid, uid, err));
    return rights_drop(uid, uid, err);
}

/* The root's key: made at first start, sealed in the store from then on. */
static enum outcome load_root_key(struct server *s, struct error *err)
{
    struct buffer key = BUFFER_EMPTY, sealed = BUFFER_EMPTY, secret = BUFFER_EMPTY;
    bool found = false;
    enum outcome outcome = store_access_key_find(s->store, SLICE("root"), &found, &key, &sealed, err);
    if (outcome == OK && found) {
        outcome = seal_unseal(s->seal, buffer_slice(&key), buffer_slice(&sealed), &secret, err);
        if (outcome == OK) {
            (void)snprintf(s->access_key, sizeof(s->access_key), "%s", buffer_text(&key));
            (void)snprintf(s->secret, sizeof(s->secret), "%s", buffer_text(&secret));
        }
    } else if (outcome == OK) {
        access_key_make("AKIA", s->access_key);
        secret_key_make(s->secret);
        outcome = seal_close(s->seal, slice_of(s->access_key), slice_of(s->secret), &sealed, err);
        if (outcome == OK)
            outcome =
                store_access_key_put(s->store, slice_of(s->access_key), SLICE("root"), buffer_slice(&sealed), err);
    }
    buffer_drop(&key);
    buffer_drop(&sealed);
    buffer_wipe(&secret);
    return outcome;
}

static enum outcome put_basic_role(struct server *s, struct error *err)
{
    struct buffer document = BUFFER_EMPTY;
    buffer_appendf(&document,
                   "{\"Arn\":\"arn:aws:iam::%s:role/hearth-basic\",\"Path\":\"/\",\"AssumeRolePolicyDocument\":"
                   "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":"
                   "\"lambda.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}}",
                   s->config.account);
    enum outcome outcome = store_role_put(s->store, SLICE("hearth-basic"), buffer_slice(&document), err);
    buffer_drop(&document);
    return outcome;
}

static void *open_instance_api(int *fd, const struct principal *principal, void *arg)
{
    struct server *s = arg;
    struct http_listener *listener = NULL;
    struct error err;
    (void)principal; /* who calls is decided by the signature, there as here */
    if (s->closing)
        return NULL;
    if (http_listen(s->instance_http, fd, NULL, &listener, &err) != OK) {
        log_error("server", &err, "an instance cannot call the API");
        return NULL;
    }
    return listener;
}

static void close_instance_api(void *handle, void *arg)
{
    struct server *s = arg;
    if (!s->closing) /* else it went with its server */
        http_listener_close(handle);
}

static void on_keeper_lost(const struct error *err, void *arg)
{
    struct server *s = arg;
    log_error("server", err, "the keeper is gone, and with it all instances; the server ends");
    function_logs_close(s->logs);
    data_dir_remove_endpoints(s->data_dir);
    _exit(EXIT_FAILED); /* without rights there is no second keeper; whoever supervises starts us again */
}

static enum outcome open_rooms(struct server *s, struct error *err)
{
    /* A new master key beside an old database would stand where the lost one has to be put back. */
    bool first_start = faccessat(s->data_dir, "hearth.db", F_OK, 0) < 0;
    TRY(seal_open(s->data_dir, first_start, &s->seal, err));
    TRY(store_open(&s->loop, s->data_dir, "hearth.db", &s->store, err));
    TRY(load_root_key(s, err));
    TRY(put_basic_role(s, err));
    s->keyring = keyring_new(s->config.account);
    keyring_add_root(s->keyring, s->access_key, s->secret);
    TRY(function_logs_open(&s->loop, s->data_dir, &s->logs, err));
    TRY(package_store_open(&s->loop, s->data_dir, s->self, &s->packages, err));
    struct engine_config engine = {
        .account = s->config.account,
        .region = s->config.region,
        .idle_ms = (uint32_t)s->config.idle_ms,
        .init_timeout_ms = ENGINE_INIT_TIMEOUT_MS,
        .concurrency = (uint32_t)s->config.concurrency,
        .runtime_fallback = s->config.runtime_fallback,
        .keeper_config = &s->keeper_config,
        .link = &s->link,
        .store = s->store,
        .seal = s->seal,
        .keyring = s->keyring,
        .packages = s->packages,
        .logs = s->logs,
        .api_url = s->report.sandbox ? NULL : s->api_url, /* filled before anything can be called */
        .api_open = open_instance_api,
        .api_close = close_instance_api,
        .keeper_lost = on_keeper_lost,
        .arg = s,
    };
    TRY(engine_open(&s->loop, &engine, &s->engine, err));
    struct async_queue_config async = { .engine = s->engine, .store = s->store };
    return async_queue_open(&s->loop, &async, &s->async_queue, err);
}

static void url_of(const struct http_listener *listener, char out[160])
{
    char address[128];
    http_listener_address(listener, address);
    if (strncmp(address, "0.0.0.0:", 8) == 0) /* a client on this machine is told where it answers */
        (void)snprintf(out, 160, "http://127.0.0.1:%s", address + 8);
    else if (strncmp(address, "[::]:", 5) == 0)
        (void)snprintf(out, 160, "http://[::1]:%s", address + 5);
    else
        (void)snprintf(out, 160, "http://%s", address);
}

static enum outcome open_doors(struct server *s, struct error *err)
{
    static const struct service *const services[] = { &lambda_service, &logs_service, &sts_service, NULL };
    s->code_links = code_links_new(&s->loop, s->packages, s->api_url);
    struct api_config api = {
        .account = s->config.account,
        .region = s->config.region,
        .engine = s->engine,
        .async_queue = s->async_queue,
        .logs = s->logs,
        .code_links = s->code_links,
        .direct = code_link_request,
        .direct_arg = s->code_links,
        .gateway_url = s->gateway_url,
        .keyring = s->keyring,
        .services = services,
    };
    s->api = api_new(&s->loop, &api);
    struct gateway_config gateway = {
        .region = s->config.region,
        .engine = s->engine,
        .keyring = s->keyring,
        .gateway_url = s->gateway_url,
    };
    s->gateway = gateway_new(&gateway);
    struct http_handler to_api = { api_request, s->api }, to_gateway = { gateway_request, s->gateway };
    s->api_http = http_server_new(&s->loop, NULL, &to_api);
    struct http_limits instance_limits = { .connections_max = SERVER_INSTANCE_CONNECTIONS_MAX };
    s->instance_http = http_server_new(&s->loop, &instance_limits, &to_api);
    s->gateway_http = http_server_new(&s->loop, NULL, &to_gateway);
    TRY(http_listen(s->api_http, &s->api_fd, NULL, &s->api_listener, err));
    TRY(http_listen(s->gateway_http, &s->gateway_fd, NULL, &s->gateway_listener, err));
    url_of(s->api_listener, s->api_url);
    url_of(s->gateway_listener, s->gateway_url);
    struct data_dir_facts facts = { s->api_url, s->gateway_url, s->config.region, s->access_key, s->secret };
    TRY(data_dir_write_aws_files(s->data_dir, &facts, err));
    return data_dir_write_endpoints(s->data_dir, &facts, err);
}

/* ---- ending: engine drained -> answers flushed -> doors closed -> rooms closed ---- */

static void on_store_closed(void *arg)
{
    struct server *s = arg;
    s->store = NULL;
    uv_unref((uv_handle_t *)&s
                 ->on_term); /* they stay until the loop has ended: a signal more must not cut what follows */
    uv_unref((uv_handle_t *)&s->on_int);
    uv_unref((uv_handle_t *)&s->on_hup);
    uv_close((uv_handle_t *)&s->flush_timer, NULL);
}

/* From here on signals are nothing to us: there is nothing left that could be hurried. */
static void close_signals(struct server *s)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    uv_signal_t *handles[] = { &s->on_term, &s->on_int, &s->on_hup };
    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        uv_close((uv_handle_t *)handles[k], NULL); /* gives the signal back to its default, which would end us */
        (void)signal(numbers[k], SIG_IGN);
    }
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
}

static void on_http_closed(void *arg)
{
    struct server *s = arg;
    if (--s->http_left > 0)
        return;
    engine_free(s->engine);
    s->engine = NULL;
    async_queue_free(s->async_queue);
    s->async_queue = NULL;
    code_links_free(s->code_links);
    s->code_links = NULL;
    package_store_close(s->packages);
    s->packages = NULL;
    store_close(s->store, on_store_closed, s);
}

static void close_doors(struct server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    (void)uv_timer_stop(&s->flush_timer);
    s->http_left = 3;
    http_server_close(s->instance_http, on_http_closed, s);
    http_server_close(s->api_http, on_http_closed, s);
    http_server_close(s->gateway_http, on_http_closed, s);
}

static void on_flush_timer(uv_timer_t *timer)
{
    close_doors(timer->data);
}

static void on_http_drained(void *arg)
{
    struct server *s = arg;
    if (--s->http_left == 0 && s->engine_drained)
        close_doors(s);
}

static void on_engine_drained(void *arg)
{
    struct server *s = arg;
    s->engine_drained = true;
    if (s->http_left == 0)
        close_doors(s);
    else
        (void)uv_timer_start(&s->flush_timer, on_flush_timer, SERVER_FLUSH_MS, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    if (number == SIGHUP)
        return;
    if (s->stopping) {
        log_info("server", "again: what still runs is cut");
        if (s->engine_drained)
            close_doors(s);
        else
            engine_drain(s->engine, 0, on_engine_drained, s);
        return;
    }
    s->stopping = true;
    log_info("server", "ending: calls that run get %llu ms", (unsigned long long)s->config.drain_ms);
    notify_systemd("STOPPING=1");
    data_dir_remove_endpoints(s->data_dir);
    s->http_left = 2;
    async_queue_stop(s->async_queue); /* first: what it would begin now stays on disk */
    engine_drain(s->engine, (uint32_t)s->config.drain_ms, on_engine_drained, s);
    http_server_drain(s->api_http, on_http_drained, s);
    http_server_drain(s->gateway_http, on_http_drained, s);
}

static void watch_signal(struct server *s, uv_signal_t *handle, int number)
{
    (void)uv_signal_init(&s->loop, handle);
    handle->data = s;
    (void)uv_signal_start(handle, on_signal, number);
}

static enum outcome start(struct server *s, struct error *err)
{
    TRY(start_privileged(s, err));
    (void)uv_loop_init(&s->loop);
    (void)signal(SIGPIPE, SIG_IGN);
    watch_signal(s, &s->on_term, SIGTERM);
    watch_signal(s, &s->on_int, SIGINT);
    watch_signal(s, &s->on_hup, SIGHUP);
    (void)uv_timer_init(&s->loop, &s->flush_timer);
    s->flush_timer.data = s;
    TRY(open_rooms(s, err));
    return open_doors(s, err);
}

static void free_rest(struct server *s)
{
    function_logs_close(s->logs);
    api_free(s->api);
    gateway_free(s->gateway);
    keyring_free(s->keyring);
    seal_free(s->seal);
    keeper_close(&s->link, SERVER_KEEPER_MS);
    memory_wipe(s->secret, sizeof(s->secret));
    for (size_t k = 0; k < KEEPER_RUNTIME_DIRS_MAX; k++)
        free(s->runtime_dirs[k]);
    free((char *)s->keeper_config.name);
    free(s->share);
    config_done(&s->config);
    fd_drop(&s->lock);
    fd_drop(&s->data_dir);
}

static void warn_if_open(const char *address, const char *what)
{
    struct slice s = slice_of(address);
    if (!slice_starts(s, SLICE("127.")) && !slice_starts(s, SLICE("localhost:")) &&
        !slice_starts(s, SLICE("[::1]:")))
        log_warn("server", "the %s answers at %s without TLS: put a TLS proxy in front (docs/operations.md)", what,
                 address);
}

int server_main(int argc, char **argv)
{
    struct server *s = memory_new(sizeof(*s));
    struct error err;
    s->data_dir = s->lock = s->api_fd = s->gateway_fd = s->link.fd = -1;
    if (config_load(argc, argv, &s->config, &err) != OK) {
        (void)fprintf(stderr, "hearth: %s. %s\n", err.message, err.hint);
        free(s);
        return EXIT_USAGE;
    }
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    for (int k = 0; k < 4; k++)
        if (strcmp(s->config.log_level, levels[k]) == 0)
            log_set_level((enum log_level)k);
    if (start(s, &err) != OK) {
        log_error("server", &err, "could not start");
        keeper_close(&s->link, SERVER_KEEPER_MS);
        _exit(EXIT_FAILED); /* half-started rooms have threads; what was acknowledged is on disk */
    }
    log_info("server", "hearth %s answers at %s, gateway %s, data in %s", HEARTH_VERSION, s->api_url,
             s->gateway_url, s->config.data);
    warn_if_open(s->config.api, "API");
    warn_if_open(s->config.gateway, "gateway");
    log_info("server", "%s", s->report.line);
    notify_systemd("READY=1");
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    close_signals(s);
    (void)uv_loop_close(&s->loop);
    log_info("server", "ended in good order");
    free_rest(s);
    free(s);
    return EXIT_OK;
}
