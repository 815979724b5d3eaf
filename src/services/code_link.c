#include "services/code_link.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/fd.h"
#include "base/log.h"

enum { KEY_BYTES = 32, MAC_BYTES = 32, DIGEST_CHARS = 64 };
static const struct slice PREFIX = { "/.hearth/code/", sizeof("/.hearth/code/") - 1 };

struct code_links {
    uv_loop_t *loop;
    struct package_store *packages;
    const char *own_url;
    unsigned char key[KEY_BYTES];
    size_t downloads;
    bool freed; /* code_links_free was called; the last download frees us */
};

/* One download. A step of it is under way (in the pool), or it waits for the client to take what was written. */
enum download_state {
    DOWNLOAD_OPENING, /* the package store opens the file      -> READING, freed */
    DOWNLOAD_READING, /* uv_fs_read is under way               -> READING, WAITING, freed */
    DOWNLOAD_WAITING, /* for http_on_ready, or for the end     -> READING, freed */
};
struct download {
    struct code_links *links;
    struct http_exchange *x; /* NULL once the client is gone or answered */
    enum download_state state;
    bool head;
    int fd;
    uint64_t at, bytes;
    uv_fs_t read;
    uv_buf_t buf;
    char chunk[CODE_LINK_CHUNK_BYTES];
};

/* ---- signatures ---- */

static void sign(const struct code_links *links, struct slice digest, uint64_t expires, char out[2 * MAC_BYTES + 1])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct buffer text = BUFFER_EMPTY, hex = BUFFER_EMPTY;
    buffer_appendf(&text, "hearth-code-1\n%.*s\n%llu", SLICE_PRINT(digest), (unsigned long long)expires);
    if (HMAC(EVP_sha256(), links->key, KEY_BYTES, (const unsigned char *)text.at, text.len, mac, &len) == NULL ||
        len != MAC_BYTES)
        abort(); /* an OpenSSL without SHA-256 */
    codec_hex(&hex, slice_from(mac, MAC_BYTES));
    (void)snprintf(out, 2 * MAC_BYTES + 1, "%s", buffer_text(&hex));
    buffer_drop(&text);
    buffer_drop(&hex);
}

/* ---- addresses ---- */

struct code_links *code_links_new(uv_loop_t *loop, struct package_store *packages, const char *own_url)
{
    struct code_links *links = memory_new(sizeof(*links));
    links->loop = loop;
    links->packages = packages;
    links->own_url = own_url;
    random_bytes(links->key, sizeof(links->key));
    return links;
}

static void links_maybe_free(struct code_links *links)
{
    if (!links->freed || links->downloads > 0)
        return;
    memory_wipe(links->key, sizeof(links->key));
    free(links);
}

void code_links_free(struct code_links *links)
{
    if (links == NULL)
        return;
    links->freed = true;
    links_maybe_free(links);
}

/* A name or address with a port, of characters that cannot end the authority of a URL: it is repeated to whoever sent it. */
static bool host_ok(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr(".-_:[]", c) == NULL))
            return false;
    }
    return host.len > 0 && host.len <= CODE_LINK_HOST_BYTES_MAX;
}

void code_link_address(struct call *call, const char *digest, char out[CODE_LINK_ADDRESS_BYTES])
{
    const struct code_links *links = call->code_links;
    char signature[2 * MAC_BYTES + 1], base[CODE_LINK_HOST_BYTES_MAX + 16];
    out[0] = '\0';
    if (links == NULL)
        return;
    uint64_t expires = (uint64_t)(clock_wall_ms() / 1000) + CODE_LINK_VALID_S;
    struct slice host = call_header(call, "host");
    /* Behind a proxy that speaks TLS the address must, too. */
    bool tls = slice_is(call_header(call, "x-forwarded-proto"), "https");
    if (host_ok(host))
        (void)snprintf(base, sizeof(base), "%s://%.*s", tls ? "https" : "http", SLICE_PRINT(host));
    else
        (void)snprintf(base, sizeof(base), "%s", links->own_url);
    sign(links, slice_of(digest), expires, signature);
    (void)snprintf(out, CODE_LINK_ADDRESS_BYTES, "%s%s%s.zip?Expires=%llu&Signature=%s", base, PREFIX.at, digest,
                   (unsigned long long)expires, signature);
}

/* ---- refusals, in S3's form ---- */

static void refuse(struct http_exchange *x, int status, const char *code, const char *message)
{
    AUTO(buffer)
    struct buffer body = BUFFER_EMPTY;
    buffer_appendf(
        &body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>",
        code, message);
    http_add_header(x, "Content-Type", SLICE("application/xml"));
    http_respond(x, status, buffer_slice(&body));
}

/* ---- a download ---- */

static void download_free(struct download *d)
{
    struct code_links *links = d->links;
    fd_drop(&d->fd);
    free(d);
    links->downloads--;
    links_maybe_free(links);
}

/* What runs in the pool comes back first; its callback sees that the client is gone. */
static void client_is_gone(struct http_exchange *x, void *arg)
{
    struct download *d = arg;
    (void)x;
    d->x = NULL;
    if (d->state == DOWNLOAD_WAITING)
        download_free(d);
}

static void download_finish(struct download *d)
{
    struct http_exchange *x = d->x;
    download_free(d);
    http_finish(x);
}

static void download_read(struct download *d);

static void on_ready(struct http_exchange *x, void *arg)
{
    struct download *d = arg;
    (void)x;
    if (d->state == DOWNLOAD_WAITING)
        download_read(d);
}

static void on_read(uv_fs_t *request)
{
    struct download *d = request->data;
    ssize_t got = request->result;
    uv_fs_req_cleanup(request);
    if (d->x == NULL) {
        download_free(d);
        return;
    }
    if (got <=
        0) { /* the file is shorter than it was, or the disk is broken: the client must not take it for whole */
        struct http_exchange *x = d->x;
        log_warn("services", "could not read a package to its end: %s",
                 got < 0 ? uv_strerror((int)got) : "it is shorter than it was");
        download_free(d);
        http_abort(x);
        return;
    }
    d->at += (uint64_t)got;
    d->state = DOWNLOAD_WAITING;
    bool more_at_once = http_write(d->x, slice_from(d->chunk, (size_t)got)); /* it copies what cannot be sent now */
    if (d->at == d->bytes)
        download_finish(d);
    else if (more_at_once)
        download_read(d);
}

static void download_read(struct download *d)
{
    uint64_t left = d->bytes - d->at;
    d->state = DOWNLOAD_READING;
    d->buf = uv_buf_init(d->chunk, (unsigned)(left < sizeof(d->chunk) ? left : sizeof(d->chunk)));
    d->read.data = d;
    if (uv_fs_read(d->links->loop, &d->read, d->fd, &d->buf, 1, (int64_t)d->at, on_read) != 0)
        abort(); /* only for a bad argument */
}

static void on_opened(int fd, uint64_t bytes, const struct error *err, void *arg)
{
    struct download *d = arg;
    d->fd = fd;
    d->bytes = bytes;
    struct http_exchange *x = d->x;
    if (x == NULL) {
        download_free(d);
        return;
    }
    if (err != NULL) {
        download_free(d);
        if (err->kind == ERROR_NOT_FOUND)
            refuse(x, 404, "NoSuchKey", "The specified key does not exist.");
        else
            refuse(x, 503, "ServiceUnavailable", "Please try again.");
        return;
    }
    http_add_header(x, "Content-Type", SLICE("application/zip"));
    http_start(x, 200, (int64_t)bytes);
    if (d->head || bytes == 0)
        download_finish(d);
    else
        download_read(d);
}

/* ---- the door ---- */

/* "<64 hex>.zip" */
static bool digest_of(struct slice name, struct slice *digest)
{
    *digest = slice_sub(name, 0, DIGEST_CHARS);
    for (size_t i = 0; i < digest->len; i++) {
        char c = digest->at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return digest->len == DIGEST_CHARS && slice_is(slice_sub(name, DIGEST_CHARS, name.len), ".zip");
}

static struct slice parameter(struct slice query, struct slice name)
{
    while (query.len > 0) {
        struct slice value = slice_split(&query, '&');
        struct slice key = slice_split(&value, '=');
        if (slice_equal(key, name))
            return value;
    }
    return SLICE_EMPTY;
}

/* The signature first: of who cannot sign nothing else is looked at. */
static const char *check(const struct code_links *links, struct slice query, struct slice digest)
{
    char wanted[2 * MAC_BYTES + 1];
    uint64_t expires = 0;
    if (!slice_to_u64(parameter(query, SLICE("Expires")), INT64_MAX, &expires))
        return "Query-string authentication requires the Signature and Expires parameters";
    sign(links, digest, expires, wanted);
    if (!slice_equal_secret(parameter(query, SLICE("Signature")), slice_of(wanted)))
        return "The signature does not match the address";
    return (int64_t)expires * 1000 < clock_wall_ms() ? "Request has expired" : NULL;
}

static void download_start(struct code_links *links, struct http_exchange *x, struct slice digest)
{
    if (links->downloads >= CODE_LINK_DOWNLOADS_MAX || links->freed) {
        refuse(x, 503, "SlowDown", "Please reduce your request rate.");
        return;
    }
    struct download *d = memory_new(sizeof(*d));
    char name[DIGEST_CHARS + 1];
    (void)snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(digest));
    d->links = links;
    d->x = x;
    d->fd = -1;
    d->head = slice_is(http_method(x), "HEAD");
    links->downloads++;
    http_on_gone(x, client_is_gone, d);
    http_on_ready(x, on_ready, d);
    package_open_zip(links->packages, name, on_opened, d);
}

bool code_link_request(struct http_exchange *x, void *arg)
{
    struct code_links *links = arg;
    struct slice path = http_path(x), digest;
    if (!slice_starts(path, PREFIX))
        return false;
    if (!slice_is(http_method(x), "GET") && !slice_is(http_method(x), "HEAD")) {
        refuse(x, 405, "MethodNotAllowed", "The specified method is not allowed against this resource.");
        return true;
    }
    if (!digest_of(slice_sub(path, PREFIX.len, path.len), &digest)) {
        refuse(x, 403, "AccessDenied", "Access Denied");
        return true;
    }
    const char *wrong = check(links, http_query(x), digest);
    if (wrong != NULL)
        refuse(x, 403, "AccessDenied", wrong);
    else
        download_start(links, x, digest);
    return true;
}
