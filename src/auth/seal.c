#include "auth/seal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "auth/sigv4.h"
#include "base/codec.h"
#include "base/fd.h"
#include "base/memory.h"

/* An envelope: the secret under a data key of its own, the data key under the master key, both AES-256-GCM.
 *
 * 1. A data key encrypts one thing, once; its nonce cannot repeat. The master key encrypts data keys under random 96-bit
 *    nonces: after 2^32 of them a repetition has a chance of 2^-33 (NIST SP 800-38D, 8.3, whose bound that is).
 * 2. The additional data of both layers is the head ("HS1", key id) and the context: neither part opens elsewhere.
 * 3. The key id tells "another master key" from "damaged", nothing else: four bytes of a hash of the key.
 *
 * Cost: 95 bytes a thing. */

enum {
    KEY_BYTES = 32,
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    KEY_ID_BYTES = 4,
    MAGIC_BYTES = 3,
    HEAD_BYTES = MAGIC_BYTES + KEY_ID_BYTES,
    SEALED_BYTES_MIN = HEAD_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES + NONCE_BYTES + TAG_BYTES,
    KEY_FILE_BYTES = 2 * KEY_BYTES + 1, /* hex and a newline: it can be kept on paper */
};

static const char magic[] = "HS1";
static const char key_file[] = "master.key", key_file_new[] = "master.key.new";

struct seal {
    unsigned char *key; /* a page of its own: locked, in no core dump, zeroes in a child */
    size_t mapped;
    char head[HEAD_BYTES];
};

/* ---- the master key's page ---- */

static struct seal *seal_new(const unsigned char key[KEY_BYTES])
{
    struct seal *seal = memory_new(sizeof(*seal));
    seal->mapped = (size_t)sysconf(_SC_PAGESIZE);
    seal->key = mmap(NULL, seal->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (seal->key == MAP_FAILED)
        abort();
    /* All best effort: RLIMIT_MEMLOCK may be 0, and without swap nothing is lost. */
    (void)mlock(seal->key, seal->mapped);
    (void)madvise(seal->key, seal->mapped, MADV_DONTDUMP);
    (void)madvise(seal->key, seal->mapped, MADV_WIPEONFORK);
    memcpy(seal->key, key, KEY_BYTES);
    unsigned char text[KEY_BYTES + 8] = "HS1 id: ", digest[32];
    memcpy(text + 8, key, KEY_BYTES);
    sha256_raw(slice_from(text, sizeof(text)), digest);
    memcpy(seal->head, magic, MAGIC_BYTES);
    memcpy(seal->head + MAGIC_BYTES, digest, KEY_ID_BYTES);
    memory_wipe(text, sizeof(text));
    return seal;
}

void seal_free(struct seal *seal)
{
    if (seal == NULL)
        return;
    memory_wipe(seal->key, seal->mapped);
    (void)munmap(seal->key, seal->mapped);
    free(seal);
}

/* ---- the master key's file ---- */

static enum outcome check_key_file(int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set_sys(err, errno, "Check the disk that holds the data directory.",
                             "could not look at \"%s\"", key_file);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERROR_INVALID, "Put the key back from its backup.", "\"%s\" is not a plain file",
                         key_file);
    if ((st.st_mode & 077) != 0)
        return error_set(
            err, ERROR_INVALID, "If nobody else can have read it: chmod 600 master.key in the data directory.",
            "\"%s\" may be read or changed by others (mode %04o)", key_file, (unsigned)(st.st_mode & 07777));
    if (geteuid() != 0 && st.st_uid != geteuid())
        return error_set(err, ERROR_INVALID, "Start the server as the user who owns the data directory.",
                         "\"%s\" belongs to another user (uid %u)", key_file, (unsigned)st.st_uid);
    return OK;
}

static enum outcome parse_key(struct slice text, unsigned char key[KEY_BYTES], struct error *err)
{
    struct buffer raw = BUFFER_EMPTY;
    buffer_reserve(&raw, KEY_BYTES); /* once: a grown buffer leaves copies behind */
    if (text.len > 0 && text.at[text.len - 1] == '\n')
        text.len--;
    bool ok = text.len == 2 * KEY_BYTES && codec_unhex(&raw, text) && raw.len == KEY_BYTES;
    if (ok)
        memcpy(key, raw.at, KEY_BYTES);
    buffer_wipe(&raw);
    if (!ok)
        return error_set(err, ERROR_INVALID, "Put the key back from its backup: without it what it sealed is lost.",
                         "\"%s\" is not 64 hex digits", key_file);
    return OK;
}

/* ERROR_NOT_FOUND when there is none. */
static enum outcome load_key(int dir, unsigned char key[KEY_BYTES], struct error *err)
{
    AUTO(fd)
    int fd = openat(dir, key_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ERROR_NOT_FOUND, "Put the key back from its backup.", "there is no \"%s\"", key_file);
    if (fd < 0)
        return error_set_sys(err, errno, "Check the permissions of the data directory.", "could not open \"%s\"",
                             key_file);
    TRY(check_key_file(fd, err));
    char text[KEY_FILE_BYTES + 1];
    ssize_t len = read(fd, text, sizeof(text));
    if (len < 0)
        return error_set_sys(err, errno, "Check the disk that holds the data directory.", "could not read \"%s\"",
                             key_file);
    enum outcome outcome = parse_key(slice_from(text, (size_t)len), key, err);
    memory_wipe(text, sizeof(text));
    return outcome;
}

static enum outcome write_key(int fd, struct error *err)
{
    unsigned char key[KEY_BYTES];
    random_bytes(key, sizeof(key));
    struct buffer text = BUFFER_EMPTY;
    buffer_reserve(&text, KEY_FILE_BYTES);
    codec_hex(&text, slice_from(key, sizeof(key)));
    buffer_append_byte(&text, '\n');
    enum outcome outcome = fd_write_all(fd, buffer_slice(&text), err);
    buffer_wipe(&text);
    memory_wipe(key, sizeof(key));
    return outcome;
}

/* Written aside and linked: link refuses a name that exists, so a key is never replaced, and never half there. */
static enum outcome make_key(int dir, struct error *err)
{
    static const char hint[] = "Check space and permissions of the data directory.";
    if (unlinkat(dir, key_file_new, 0) < 0 && errno != ENOENT)
        return error_set_sys(err, errno, hint, "could not remove \"%s\"", key_file_new);
    AUTO(fd)
    int fd = openat(dir, key_file_new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_sys(err, errno, hint, "could not make \"%s\"", key_file_new);
    TRY(write_key(fd, err));
    if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
        return error_set_sys(err, errno, hint, "could not write \"%s\" to disk", key_file_new);
    if (linkat(dir, key_file_new, dir, key_file, 0) < 0 && errno != EEXIST)
        return error_set_sys(err, errno, hint, "could not make \"%s\"", key_file);
    (void)unlinkat(dir, key_file_new, 0); /* what is left over is removed by the next start that makes a key */
    if (fsync(dir) < 0)
        return error_set_sys(err, errno, hint, "could not write \"%s\" to disk", key_file);
    return OK;
}

enum outcome seal_open(int dir, bool create, struct seal **out, struct error *err)
{
    unsigned char key[KEY_BYTES];
    struct error why = { 0 };
    if (load_key(dir, key, &why) != OK) {
        if (why.kind != ERROR_NOT_FOUND || !create) {
            if (err != NULL)
                *err = why;
            return FAILED;
        }
        TRY(make_key(dir, err));
        TRY(load_key(dir, key, err)); /* from the disk: ours, or that of whoever was first */
    }
    *out = seal_new(key);
    memory_wipe(key, sizeof(key));
    return OK;
}

/* ---- AES-256-GCM ---- */

/* Encrypts or decrypts `in`; `tag` is written or compared. False: no memory, or (decrypting) not what was sealed. */
static bool gcm(bool encrypt, const unsigned char key[KEY_BYTES], const unsigned char nonce[NONCE_BYTES],
                struct slice head, struct slice context, struct slice in, unsigned char *out,
                unsigned char tag[TAG_BYTES])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0, last = 0;
    unsigned char none[16];
    bool ok = ctx != NULL && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) &&
              EVP_CipherUpdate(ctx, NULL, &len, (const unsigned char *)head.at, (int)head.len) &&
              (context.len == 0 ||
               EVP_CipherUpdate(ctx, NULL, &len, (const unsigned char *)context.at, (int)context.len)) &&
              (in.len == 0 || EVP_CipherUpdate(ctx, out, &len, (const unsigned char *)in.at, (int)in.len)) &&
              (encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag)) &&
              EVP_CipherFinal_ex(ctx, none, &last) && last == 0 &&
              (!encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag));
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static enum outcome too_large(struct error *err)
{
    return error_set(err, ERROR_TOO_LARGE, "Keep secrets small.", "cannot seal more than %d bytes",
                     SEAL_PLAIN_BYTES_MAX);
}

enum outcome seal_close(const struct seal *seal, struct slice context, struct slice plain, struct buffer *out,
                        struct error *err)
{
    if (plain.len > SEAL_PLAIN_BYTES_MAX || context.len > SEAL_CONTEXT_BYTES_MAX)
        return too_large(err);
    if (!buffer_try_reserve(out, SEALED_BYTES_MIN + plain.len))
        return error_set(err, ERROR_UNAVAILABLE, "Try again later.", "could not allocate %zu bytes", plain.len);
    unsigned char data_key[KEY_BYTES];
    random_bytes(data_key, sizeof(data_key));
    unsigned char *at = (unsigned char *)out->at + out->len;
    memcpy(at, seal->head, HEAD_BYTES);
    unsigned char *key_nonce = at + HEAD_BYTES, *sealed_key = key_nonce + NONCE_BYTES,
                  *key_tag = sealed_key + KEY_BYTES;
    unsigned char *nonce = key_tag + TAG_BYTES, *cipher = nonce + NONCE_BYTES, *tag = cipher + plain.len;
    random_bytes(key_nonce, NONCE_BYTES);
    random_bytes(nonce, NONCE_BYTES);
    struct slice head = slice_from(seal->head, HEAD_BYTES);
    bool ok =
        gcm(true, seal->key, key_nonce, head, context, slice_from(data_key, KEY_BYTES), sealed_key, key_tag) &&
        gcm(true, data_key, nonce, head, context, plain, cipher, tag);
    memory_wipe(data_key, sizeof(data_key));
    if (!ok)
        return error_set(err, ERROR_INTERNAL, "Look for a lack of memory, or a broken OpenSSL.",
                         "could not seal %zu bytes", plain.len);
    out->len += SEALED_BYTES_MIN + plain.len;
    return OK;
}

static enum outcome damaged(struct error *err)
{
    return error_set(err, ERROR_INVALID, "Restore the data directory from a backup.",
                     "a sealed secret is damaged, or is not in the place where it was sealed");
}

enum outcome seal_unseal(const struct seal *seal, struct slice context, struct slice sealed, struct buffer *out,
                         struct error *err)
{
    if (sealed.len < SEALED_BYTES_MIN || memcmp(sealed.at, magic, MAGIC_BYTES) != 0)
        return damaged(err);
    size_t len = sealed.len - SEALED_BYTES_MIN;
    if (len > SEAL_PLAIN_BYTES_MAX || context.len > SEAL_CONTEXT_BYTES_MAX)
        return too_large(err);
    struct slice head = slice_sub(sealed, 0, HEAD_BYTES);
    if (memcmp(head.at, seal->head, HEAD_BYTES) != 0)
        return error_set(err, ERROR_INVALID, "Put back the master.key that belongs to this data directory.",
                         "a secret was sealed under another master key");
    if (!buffer_try_reserve(out, len + 1)) /* so that `at` is not NULL for an empty secret */
        return error_set(err, ERROR_UNAVAILABLE, "Try again later.", "could not allocate %zu bytes", len);
    const unsigned char *key_nonce = (const unsigned char *)sealed.at + HEAD_BYTES,
                        *sealed_key = key_nonce + NONCE_BYTES;
    const unsigned char *key_tag = sealed_key + KEY_BYTES, *nonce = key_tag + TAG_BYTES,
                        *cipher = nonce + NONCE_BYTES;
    unsigned char data_key[KEY_BYTES], tag[TAG_BYTES];
    memcpy(tag, key_tag, TAG_BYTES);
    bool ok = gcm(false, seal->key, key_nonce, head, context, slice_from(sealed_key, KEY_BYTES), data_key, tag);
    memcpy(tag, cipher + len, TAG_BYTES);
    unsigned char *plain = (unsigned char *)out->at + out->len;
    ok = ok && gcm(false, data_key, nonce, head, context, slice_from(cipher, len), plain, tag);
    memory_wipe(data_key, sizeof(data_key));
    if (!ok) {
        memory_wipe(plain, len); /* GCM gives bytes before it knows whether they are right */
        return damaged(err);
    }
    out->len += len;
    return OK;
}
