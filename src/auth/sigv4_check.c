#include <assert.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <uthash.h>

#include "auth/sigv4_canon.h"
#include "base/memory.h"

/* Deriving a signing key takes four HMACs, all the rest of a verification two hashes: so keys are kept. An entry is made
 * only by a signature that was right, or whoever knows an access key could turn the cache over with made-up regions.
 * Cost: about 1 KB an entry. Measured on the reference box: 3.0 us for reading and checking an Invoke
 * as botocore sends it, 0.3 us for the hash of its small body (tests/unit/auth/sigv4_bench.c). */

enum { CACHE_NAME_BYTES_MAX = SIGV4_SECRET_BYTES_MAX + 8 + 2 * SIGV4_SCOPE_NAME_BYTES_MAX + 4 };

struct cache_entry {
    EVP_MAC_CTX *mac; /* holds the signing key */
    UT_hash_handle hh;
    size_t name_len;
    char name[CACHE_NAME_BYTES_MAX];
};

struct sigv4_cache {
    struct sigv4_tools tools;
    size_t entries_max;
    struct cache_entry *entries; /* uthash keeps the order of insertion: the first is the one used longest ago */
};

/* The lengths go first: "ab" + "c" must not be "a" + "bc". False when it does not fit, then it is not cached. */
static bool cache_name(struct slice secret, const struct sigv4_claim *claim, char out[CACHE_NAME_BYTES_MAX],
                       size_t *len)
{
    const struct slice parts[] = { secret, claim->date, claim->region, claim->service };
    size_t at = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].len > 255 || at + 1 + parts[i].len > CACHE_NAME_BYTES_MAX)
            return false;
        out[at++] = (char)parts[i].len;
        memcpy(out + at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    *len = at;
    return true;
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the analyser takes uthash's table, freed with its last entry, for the next one's. */
static void entry_free(struct sigv4_cache *cache, struct cache_entry *entry)
{
    HASH_DEL(cache->entries, entry);
    EVP_MAC_CTX_free(entry->mac);
    memory_wipe(entry, sizeof(*entry));
    free(entry);
}

static struct cache_entry *cache_find(struct sigv4_cache *cache, const char *name, size_t len)
{
    struct cache_entry *entry = NULL;
    HASH_FIND(hh, cache->entries, name, len, entry);
    if (entry != NULL && entry->hh.next != NULL) { /* used last from now on */
        HASH_DEL(cache->entries, entry);
        HASH_ADD(hh, cache->entries, name[0], entry->name_len, entry);
    }
    return entry;
}

static void cache_put(struct sigv4_cache *cache, const char *name, size_t len, EVP_MAC_CTX *mac)
{
    if (HASH_COUNT(cache->entries) >= cache->entries_max)
        entry_free(cache, cache->entries);
    struct cache_entry *entry = memory_new(sizeof(*entry));
    entry->mac = mac;
    entry->name_len = len;
    memcpy(entry->name, name, len);
    HASH_ADD(hh, cache->entries, name[0], entry->name_len, entry);
}

/* NOLINTEND(clang-analyzer-unix.Malloc) */

struct sigv4_cache *sigv4_cache_new(size_t entries)
{
    struct sigv4_cache *cache = memory_new(sizeof(*cache));
    cache->entries_max = entries == 0 ? SIGV4_CACHE_ENTRIES : entries;
    if (!sigv4_tools_init(&cache->tools))
        abort(); /* a libcrypto without SHA-256 */
    return cache;
}

void sigv4_cache_free(struct sigv4_cache *cache)
{
    if (cache == NULL)
        return;
    struct cache_entry *entry, *next;
    HASH_ITER (hh, cache->entries, entry, next)
        entry_free(cache, entry);
    sigv4_tools_done(&cache->tools);
    free(cache);
}

/* ---- the check ---- */

static enum outcome no_crypto(struct error *err)
{
    return error_set(err, ERROR_INTERNAL, "Look for a lack of memory, or a broken OpenSSL.",
                     "could not compute a signature");
}

/* Which payload hash stands in the canonical request. */
static enum outcome payload_hash(const struct sigv4_claim *claim, struct slice body_hash, bool unsigned_ok,
                                 struct slice *out, struct error *err)
{
    struct slice claimed = claim->payload_hash;
    if (claimed.len == 0) {
        bool s3_link = claim->presigned && slice_is(claim->service, "s3");
        *out = s3_link && unsigned_ok ? SLICE("UNSIGNED-PAYLOAD") : body_hash;
        return OK;
    }
    if (slice_is(claimed, "UNSIGNED-PAYLOAD") ? !unsigned_ok : !slice_equal_nocase(claimed, body_hash))
        return error_set_code(err, ERROR_INVALID, "XAmzContentSHA256Mismatch",
                              "Sign the SHA-256 of the body that is sent.",
                              "The provided 'x-amz-content-sha256' header does not match what was computed.");
    *out = claimed;
    return OK;
}

static EVP_MAC_CTX *mac_for(struct sigv4_tools *tools, struct slice secret, const struct sigv4_scope *scope)
{
    unsigned char key[SHA256_BYTES];
    EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(tools->mac);
    bool ok =
        mac != NULL && sigv4_signing_key(tools, secret, scope, key) && EVP_MAC_init(mac, key, sizeof(key), NULL);
    OPENSSL_cleanse(key, sizeof(key));
    if (ok)
        return mac;
    EVP_MAC_CTX_free(mac);
    return NULL;
}

static enum outcome check_with(struct sigv4_tools *tools, struct sigv4_cache *cache,
                               const struct sigv4_request *request, const struct sigv4_claim *claim,
                               struct slice secret, struct slice payload, bool normalize_path, struct error *err)
{
    char canonical[SHA256_HEX_BYTES], signature[SHA256_HEX_BYTES], name[CACHE_NAME_BYTES_MAX];
    if (!sigv4_canonical_hash(tools, request, claim->signed_headers, payload, normalize_path, canonical))
        return sigv4_mismatch(err);
    const struct sigv4_scope scope = { claim->date, claim->region, claim->service };
    size_t name_len = 0;
    bool cacheable = cache != NULL && cache_name(secret, claim, name, &name_len);
    struct cache_entry *entry = cacheable ? cache_find(cache, name, name_len) : NULL;
    EVP_MAC_CTX *mac = entry != NULL ? entry->mac : mac_for(tools, secret, &scope);
    bool computed = mac != NULL && sigv4_signature(mac, claim->time_s, &scope, canonical, signature);
    bool right = computed && slice_equal_secret(claim->signature, slice_from(signature, sizeof(signature)));
    if (entry == NULL && right && cacheable)
        cache_put(cache, name, name_len, mac);
    else if (entry == NULL)
        EVP_MAC_CTX_free(mac);
    OPENSSL_cleanse(name, sizeof(name));
    OPENSSL_cleanse(signature, sizeof(signature)); /* the right answer, when the client's was wrong */
    if (!computed)
        return no_crypto(err);
    return right ? OK : sigv4_mismatch(err);
}

enum outcome sigv4_check(const struct sigv4_request *request, const struct sigv4_claim *claim, struct slice secret,
                         struct slice body_sha256_hex, bool unsigned_payload_ok, bool normalize_path,
                         struct sigv4_cache *cache, struct error *err)
{
    struct slice payload = SLICE_EMPTY;
    if (claim->signature.len != SHA256_HEX_BYTES || secret.len == 0 || secret.len > SIGV4_SECRET_BYTES_MAX)
        return sigv4_mismatch(err);
    TRY(payload_hash(claim, body_sha256_hex, unsigned_payload_ok, &payload, err));
    if (cache != NULL)
        return check_with(&cache->tools, cache, request, claim, secret, payload, normalize_path, err);
    struct sigv4_tools tools;
    if (!sigv4_tools_init(&tools))
        return no_crypto(err);
    enum outcome outcome = check_with(&tools, NULL, request, claim, secret, payload, normalize_path, err);
    sigv4_tools_done(&tools);
    return outcome;
}

/* ---- signing ---- */

struct signing {
    struct sigv4_header headers[SIGV4_SIGNED_HEADERS_MAX];
    size_t header_count;
    struct slice names[SIGV4_SIGNED_HEADERS_MAX]; /* lower case, sorted, in `lower` */
    size_t name_count;
    struct buffer lower;
};

static int name_order(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool worth_signing(struct slice name)
{
    return slice_equal_nocase(name, SLICE("host")) || slice_equal_nocase(name, SLICE("content-type")) ||
           slice_equal_nocase(slice_sub(name, 0, 6), SLICE("x-amz-"));
}

/* "host;x-amz-date" of all headers that are to be signed, each name once. */
static void list_signed(struct signing *s, struct buffer *out)
{
    size_t total = 0;
    for (size_t i = 0; i < s->header_count; i++)
        total += s->headers[i].name.len;
    buffer_reserve(&s->lower, total + 1);
    for (size_t i = 0; i < s->header_count; i++) {
        struct slice name = s->headers[i].name;
        if (!worth_signing(name))
            continue;
        size_t from = s->lower.len;
        for (size_t k = 0; k < name.len; k++)
            buffer_append_byte(&s->lower,
                               (char)(name.at[k] >= 'A' && name.at[k] <= 'Z' ? name.at[k] + 32 : name.at[k]));
        s->names[s->name_count++] = slice_from(s->lower.at + from, name.len);
    }
    qsort(s->names, s->name_count, sizeof(s->names[0]), name_order);
    for (size_t i = 0; i < s->name_count; i++) {
        if (i > 0 && slice_equal(s->names[i - 1], s->names[i]))
            continue;
        if (i > 0)
            buffer_append_byte(out, ';');
        buffer_append_slice(out, s->names[i]);
    }
}

static void signing_add(struct signing *s, const char *name, struct slice value)
{
    assert(s->header_count < SIGV4_SIGNED_HEADERS_MAX);
    s->headers[s->header_count++] = (struct sigv4_header){ slice_of(name), value };
}

static bool sign_with(struct sigv4_tools *tools, const struct sigv4_request *request, struct slice signed_headers,
                      struct slice payload, struct slice secret, const struct sigv4_scope *scope, int64_t now_s,
                      char signature[SHA256_HEX_BYTES])
{
    char canonical[SHA256_HEX_BYTES];
    bool normalize = !slice_is(scope->service, "s3");
    EVP_MAC_CTX *mac = mac_for(tools, secret, scope);
    bool ok = mac != NULL && sigv4_canonical_hash(tools, request, signed_headers, payload, normalize, canonical) &&
              sigv4_signature(mac, now_s, scope, canonical, signature);
    EVP_MAC_CTX_free(mac);
    return ok;
}

enum { SIGNING_HEADERS_ADDED = 3 };

enum outcome sigv4_sign(const struct sigv4_request *request, struct slice body, struct slice access_key,
                        struct slice secret, struct slice token, struct slice region, struct slice service,
                        int64_t now_s, struct buffer *out, struct error *err)
{
    if (sigv4_header_find(request, SLICE("host"), NULL) != 1 ||
        request->header_count > SIGV4_SIGNED_HEADERS_MAX - SIGNING_HEADERS_ADDED)
        return error_set(err, ERROR_INVALID, "Give one Host and fewer headers.",
                         "cannot sign a request with %zu headers", request->header_count);
    if (secret.len == 0 || secret.len > SIGV4_SECRET_BYTES_MAX || token.len > SIGV4_TOKEN_BYTES_MAX ||
        region.len > SIGV4_SCOPE_NAME_BYTES_MAX || service.len > SIGV4_SCOPE_NAME_BYTES_MAX)
        return error_set(err, ERROR_INVALID, "Check the credentials file.", "cannot sign with these credentials");
    char when[SIGV4_TIME_BYTES], payload[65], signature[SHA256_HEX_BYTES];
    sigv4_time_text(now_s, when);
    sha256_hex(body, payload);
    struct signing signing = { 0 };
    for (size_t i = 0; i < request->header_count; i++)
        signing.headers[signing.header_count++] = request->headers[i];
    signing_add(&signing, "X-Amz-Date", slice_of(when));
    signing_add(&signing, "X-Amz-Content-Sha256", slice_of(payload));
    if (token.len > 0)
        signing_add(&signing, "X-Amz-Security-Token", token);
    AUTO(buffer)
    struct buffer list = BUFFER_EMPTY;
    list_signed(&signing, &list);
    struct sigv4_request whole = *request;
    whole.headers = signing.headers;
    whole.header_count = signing.header_count;
    const struct sigv4_scope scope = { slice_from(when, 8), region, service };
    struct sigv4_tools tools;
    bool ok = sigv4_tools_init(&tools) &&
              sign_with(&tools, &whole, buffer_slice(&list), slice_of(payload), secret, &scope, now_s, signature);
    sigv4_tools_done(&tools);
    buffer_drop(&signing.lower);
    if (!ok)
        return no_crypto(err);
    buffer_appendf(out,
                   "X-Amz-Date: %s\r\nX-Amz-Content-Sha256: %s\r\nAuthorization: AWS4-HMAC-SHA256 "
                   "Credential=%.*s/%.8s/%.*s/%.*s/aws4_request, SignedHeaders=%.*s, Signature=%.*s\r\n",
                   when, payload, SLICE_PRINT(access_key), when, SLICE_PRINT(region), SLICE_PRINT(service),
                   SLICE_PRINT(buffer_slice(&list)), SHA256_HEX_BYTES, signature);
    if (token.len > 0)
        buffer_appendf(out, "X-Amz-Security-Token: %.*s\r\n", SLICE_PRINT(token));
    return OK;
}
