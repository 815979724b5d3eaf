#include "auth/sigv4.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "auth/sigv4_canon.h"
#include "base/codec.h"
#include "base/memory.h"

/* Reading a claim: two forms, one struct. What follows trusts nothing but lengths; every name and value that is used twice
 * must have been sent once, since two readers of "X-Amz-Date: a, X-Amz-Date: b" need not agree. */

static const char hint_sign[] =
    "Sign the request with AWS Signature Version 4: eval \"$(hearth env)\" gives a client what it needs.";
static const char hint_clock[] = "Correct the clock of the client or of this machine.";

static enum outcome incomplete(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
static enum outcome incomplete(struct error *err, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return error_set_code(err, ERROR_DENIED, "IncompleteSignatureException", hint_sign, "%s", message);
}

static enum outcome invalid(struct error *err, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum outcome invalid(struct error *err, const char *hint, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return error_set_code(err, ERROR_DENIED, "InvalidSignatureException", hint, "%s", message);
}

enum outcome sigv4_mismatch(struct error *err)
{
    return invalid(err, "Check the secret access key, and that nothing on the way changes the request.",
                   "The request signature we calculated does not match the signature you provided. Check your AWS "
                   "Secret Access Key and signing method. Consult the service documentation for details.");
}

/* A stranger's text in a message: bounded, and no byte that a log or an XML answer could not hold. */
struct shown {
    char text[97];
};
static struct shown show(struct slice s)
{
    struct shown shown;
    size_t len = s.len < sizeof(shown.text) - 1 ? s.len : sizeof(shown.text) - 1;
    for (size_t i = 0; i < len; i++)
        shown.text[i] = s.at[i] >= 0x20 && s.at[i] < 0x7f ? s.at[i] : '?';
    shown.text[len] = '\0';
    return shown;
}

/* ---- times ---- */

static bool digits(struct slice s, size_t from, size_t len, int *out)
{
    uint64_t value = 0;
    if (from + len > s.len || !slice_to_u64(slice_sub(s, from, len), 9999, &value))
        return false;
    *out = (int)value;
    return true;
}

static bool time_from(struct tm *tm, int64_t *out)
{
    if (tm->tm_year < 1970 || tm->tm_mon < 1 || tm->tm_mon > 12 || tm->tm_mday < 1 || tm->tm_mday > 31 ||
        tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
        return false;
    struct tm given = *tm;
    given.tm_year -= 1900;
    given.tm_mon -= 1;
    int day = given.tm_mday;
    time_t when = timegm(&given);
    if (given.tm_mday != day && tm->tm_sec < 60)
        return false; /* the 31st of February */
    *out = (int64_t)when;
    return true;
}

/* "20240131T120000Z" */
static bool time_iso(struct slice s, int64_t *out)
{
    struct tm tm = { 0 };
    return s.len == 16 && s.at[8] == 'T' && s.at[15] == 'Z' && digits(s, 0, 4, &tm.tm_year) &&
           digits(s, 4, 2, &tm.tm_mon) && digits(s, 6, 2, &tm.tm_mday) && digits(s, 9, 2, &tm.tm_hour) &&
           digits(s, 11, 2, &tm.tm_min) && digits(s, 13, 2, &tm.tm_sec) && time_from(&tm, out);
}

/* "Wed, 31 Jan 2024 12:00:00 GMT", also with "+0000" or "-0000" as Python writes it. */
static bool time_http(struct slice s, int64_t *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = { 0 };
    if (s.len < 29 || s.at[3] != ',' || s.at[19] != ':' || s.at[22] != ':')
        return false;
    struct slice zone = slice_sub(s, 26, s.len), month = slice_sub(s, 8, 3);
    if (!slice_is(zone, "GMT") && !slice_is(zone, "+0000") && !slice_is(zone, "-0000"))
        return false;
    for (int i = 0; i < 12; i++)
        if (memcmp(months + 3 * i, month.at, 3) == 0)
            tm.tm_mon = i + 1;
    return digits(s, 5, 2, &tm.tm_mday) && digits(s, 12, 4, &tm.tm_year) && digits(s, 17, 2, &tm.tm_hour) &&
           digits(s, 20, 2, &tm.tm_min) && digits(s, 23, 2, &tm.tm_sec) && time_from(&tm, out);
}

/* ---- the credential: "AKIA.../20240131/us-east-1/lambda/aws4_request" ---- */

static bool name_ok(struct slice s, size_t max)
{
    if (s.len == 0 || s.len > max)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return true;
}

static enum outcome read_credential(struct slice credential, struct sigv4_claim *claim, struct error *err)
{
    struct slice part[5], rest = credential;
    size_t slashes = 0;
    for (size_t i = 0; i < credential.len; i++)
        slashes += credential.at[i] == '/';
    if (slashes != 4)
        return incomplete(err,
                          "Credential must have exactly 5 slash-delimited elements, e.g. "
                          "keyid/date/region/service/term, got '%s'",
                          show(credential).text);
    for (int i = 0; i < 5; i++)
        part[i] = slice_split(&rest, '/');
    if (!slice_is(part[4], "aws4_request"))
        return invalid(err, hint_sign,
                       "Credential should be scoped with a valid terminator: 'aws4_request', not '%s'.",
                       show(part[4]).text);
    if (!name_ok(part[0], SIGV4_ACCESS_KEY_BYTES_MAX))
        return error_set_code(err, ERROR_DENIED, "UnrecognizedClientException", hint_sign,
                              "The security token included in the request is invalid.");
    if (!name_ok(part[2], SIGV4_SCOPE_NAME_BYTES_MAX))
        return invalid(err, hint_sign, "Credential should be scoped to a valid region.");
    if (!name_ok(part[3], SIGV4_SCOPE_NAME_BYTES_MAX))
        return invalid(err, hint_sign, "Credential should be scoped to correct service.");
    claim->access_key = part[0];
    claim->date = part[1];
    claim->region = part[2];
    claim->service = part[3];
    return OK;
}

/* ---- what must be signed ---- */

static enum outcome check_signed_headers(const struct sigv4_request *request, struct slice list, struct error *err)
{
    struct slice rest = list, before = SLICE_EMPTY;
    size_t count = 0;
    while (rest.len > 0 || (count > 0 && list.at[list.len - 1] == ';')) {
        struct slice name = slice_split(&rest, ';');
        if (name.len == 0 || (count > 0 && slice_compare(before, name) >= 0) || ++count > SIGV4_SIGNED_HEADERS_MAX)
            return incomplete(err,
                              "SignedHeaders must be a list of at most %d header names, sorted and separated by "
                              "semicolons, got '%s'",
                              SIGV4_SIGNED_HEADERS_MAX, show(list).text);
        for (size_t i = 0; i < name.len; i++)
            if (name.at[i] <= ' ' || name.at[i] > '~' || (name.at[i] >= 'A' && name.at[i] <= 'Z') ||
                name.at[i] == ':' || name.at[i] == ',')
                return incomplete(err, "SignedHeaders must name headers in lower case, got '%s'", show(name).text);
        before = name;
    }
    if (!sigv4_signed_contains(list, SLICE("host")))
        return invalid(err, hint_sign, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    for (size_t i = 0; i < request->header_count; i++) {
        struct slice name = request->headers[i].name;
        if (!slice_equal_nocase(slice_sub(name, 0, 6), SLICE("x-amz-")) || sigv4_signed_contains(list, name))
            continue;
        /* Some services want the token added after signing (the suite's "post-sts-header-after"). It is no instruction
         * but a credential, and keyring_check_token compares it with the key's own. */
        if (slice_equal_nocase(name, SLICE("x-amz-security-token")))
            continue;
        return invalid(err, hint_sign, "There were headers present in the request which were not signed: '%s'.",
                       show(name).text);
    }
    return OK;
}

/* A header that may be sent once at most. */
static enum outcome single_header(const struct sigv4_request *request, const char *name, struct slice *value,
                                  struct error *err)
{
    *value = SLICE_EMPTY;
    struct slice found = SLICE_EMPTY;
    size_t count = sigv4_header_find(request, slice_of(name), &found);
    if (count > 1)
        return incomplete(err, "Request must not contain more than one '%s' header.", name);
    *value = slice_trim(found);
    return OK;
}

/* ---- header form ---- */

static enum outcome read_authorization(struct slice text, struct sigv4_claim *claim, struct slice *credential,
                                       struct error *err)
{
    struct slice algorithm = SLICE("AWS4-HMAC-SHA256");
    struct slice rest = slice_trim(text);
    if (!slice_starts(rest, algorithm) ||
        (rest.len > algorithm.len && rest.at[algorithm.len] != ' ' && rest.at[algorithm.len] != '\t'))
        return incomplete(err,
                          "'%s' not a valid key=value pair (missing equal-sign) in Authorization header. "
                          "Only AWS4-HMAC-SHA256 is supported.",
                          show(slice_split(&rest, ' ')).text);
    rest = slice_trim(slice_sub(rest, algorithm.len, rest.len));
    while (rest.len > 0) {
        struct slice value = slice_trim(slice_split(&rest, ','));
        size_t equal = 0;
        if (value.len == 0)
            continue;
        if (!slice_find(value, '=', &equal))
            return incomplete(err, "'%s' not a valid key=value pair (missing equal-sign) in Authorization header.",
                              show(value).text);
        struct slice key = slice_trim(slice_split(&value, '='));
        struct slice *place = slice_is(key, "Credential")      ? credential
                              : slice_is(key, "SignedHeaders") ? &claim->signed_headers
                              : slice_is(key, "Signature")     ? &claim->signature
                                                               : NULL;
        if (place == NULL || place->len > 0)
            return incomplete(err, "Authorization header must not contain '%s' %s.", show(key).text,
                              place == NULL ? "as a parameter" : "more than once");
        *place = slice_trim(value);
    }
    return OK;
}

static enum outcome read_header_form(const struct sigv4_request *request, struct slice authorization,
                                     struct sigv4_claim *claim, struct slice *date, struct error *err)
{
    struct slice credential = SLICE_EMPTY;
    TRY(read_authorization(authorization, claim, &credential, err));
    TRY(single_header(request, "x-amz-date", date, err));
    bool old = date->len == 0;
    if (old)
        TRY(single_header(request, "date", date, err));
    if (credential.len == 0 || claim->signature.len == 0 || claim->signed_headers.len == 0 || date->len == 0)
        return incomplete(
            err, "%s%s%s%sAuthorization=AWS4-HMAC-SHA256",
            credential.len == 0 ? "Authorization header requires 'Credential' parameter. " : "",
            claim->signature.len == 0 ? "Authorization header requires 'Signature' parameter. " : "",
            claim->signed_headers.len == 0 ? "Authorization header requires 'SignedHeaders' parameter. " : "",
            date->len == 0 ? "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
                           : "");
    TRY(read_credential(credential, claim, err));
    if (!time_iso(*date, &claim->time_s) && !(old && time_http(*date, &claim->time_s)))
        return incomplete(
            err, "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601",
            show(*date).text);
    TRY(single_header(request, "x-amz-security-token", &claim->security_token, err));
    return single_header(request, "x-amz-content-sha256", &claim->payload_hash, err);
}

/* ---- query form ---- */

enum query_key {
    QUERY_ALGORITHM,
    QUERY_CREDENTIAL,
    QUERY_DATE,
    QUERY_EXPIRES,
    QUERY_SIGNED_HEADERS,
    QUERY_SIGNATURE,
    QUERY_TOKEN,
    QUERY_CONTENT_SHA256,
    QUERY_KEY_COUNT
};
static const char *const query_names[QUERY_KEY_COUNT] = {
    [QUERY_ALGORITHM] = "X-Amz-Algorithm",
    [QUERY_CREDENTIAL] = "X-Amz-Credential",
    [QUERY_DATE] = "X-Amz-Date",
    [QUERY_EXPIRES] = "X-Amz-Expires",
    [QUERY_SIGNED_HEADERS] = "X-Amz-SignedHeaders",
    [QUERY_SIGNATURE] = "X-Amz-Signature",
    [QUERY_TOKEN] = "X-Amz-Security-Token",
    [QUERY_CONTENT_SHA256] = "X-Amz-Content-Sha256",
};

struct query_form {
    struct slice value[QUERY_KEY_COUNT]; /* undecoded */
    unsigned times[QUERY_KEY_COUNT];
    bool present;
};

/* A name may come percent-encoded: compared as it will be understood. */
static bool name_means(struct slice name, const char *wanted)
{
    size_t len = strlen(wanted);
    if (name.len == len)
        return memcmp(name.at, wanted, len) == 0;
    if (name.len < len || name.len > 3 * len)
        return false;
    AUTO(buffer)
    struct buffer decoded = BUFFER_EMPTY;
    return codec_unpercent(&decoded, name, true) && slice_is(buffer_slice(&decoded), wanted);
}

static enum outcome scan_query(struct slice query, struct query_form *form, struct error *err)
{
    *form = (struct query_form){ 0 };
    if (!sigv4_percent_ok(query))
        return error_set_code(err, ERROR_INVALID, "MalformedQueryString", "Percent-encode the query string.",
                              "The query string contains a syntax error.");
    struct slice rest = query, name, value;
    size_t count = 0;
    while (sigv4_next_parameter(&rest, &name, &value)) {
        if (++count > SIGV4_QUERY_PARAMETERS_MAX)
            return error_set_code(err, ERROR_INVALID, "MalformedQueryString", "Send fewer parameters.",
                                  "The query string has more than %d parameters.", SIGV4_QUERY_PARAMETERS_MAX);
        if (name.at[0] != 'X' && name.at[0] != '%')
            continue;
        for (int key = 0; key < QUERY_KEY_COUNT; key++)
            if (name_means(name, query_names[key])) {
                form->times[key]++;
                form->value[key] = value;
            }
    }
    form->present = form->times[QUERY_ALGORITHM] + form->times[QUERY_CREDENTIAL] + form->times[QUERY_SIGNATURE] > 0;
    return OK;
}

static enum outcome check_query_form(const struct query_form *form, struct error *err)
{
    char missing[512];
    size_t len = 0;
    for (int key = 0; key < QUERY_KEY_COUNT; key++) {
        if (form->times[key] > 1)
            return incomplete(err, "AWS query-string parameter '%s' must not be given more than once.",
                              query_names[key]);
        /* Without X-Amz-Expires a request is good as long as one that is signed in its headers. */
        bool required = key != QUERY_EXPIRES && key != QUERY_TOKEN && key != QUERY_CONTENT_SHA256;
        if (required && form->value[key].len == 0)
            len += (size_t)snprintf(missing + len, sizeof(missing) - len,
                                    "AWS query-string parameters must include '%s'. ", query_names[key]);
    }
    if (len > 0)
        return incomplete(err, "%sRe-examine the query-string parameters.", missing);
    if (!slice_is(form->value[QUERY_ALGORITHM], "AWS4-HMAC-SHA256"))
        return incomplete(err, "Unsupported AWS 'algorithm': '%s'. Only AWS4-HMAC-SHA256 is supported.",
                          show(form->value[QUERY_ALGORITHM]).text);
    return OK;
}

static enum outcome read_query_form(const struct sigv4_request *request, const struct query_form *form,
                                    struct sigv4_claim *claim, struct slice *date, struct error *err)
{
    TRY(check_query_form(form, err));
    struct slice value[QUERY_KEY_COUNT];
    size_t total = 0;
    for (int key = 0; key < QUERY_KEY_COUNT; key++)
        total += form->value[key].len;
    buffer_reserve(&claim->storage, total + 1); /* once: the slices below point into it */
    for (int key = 0; key < QUERY_KEY_COUNT; key++) {
        size_t from = claim->storage.len;
        if (!codec_unpercent(&claim->storage, form->value[key], true))
            return sigv4_mismatch(err); /* scan_query saw to it that this cannot be */
        value[key] = slice_from(claim->storage.at + from, claim->storage.len - from);
    }
    claim->presigned = true;
    claim->signature = value[QUERY_SIGNATURE];
    claim->signed_headers = value[QUERY_SIGNED_HEADERS];
    claim->security_token = value[QUERY_TOKEN];
    claim->payload_hash = value[QUERY_CONTENT_SHA256];
    *date = value[QUERY_DATE];
    TRY(read_credential(value[QUERY_CREDENTIAL], claim, err));
    if (!time_iso(*date, &claim->time_s))
        return incomplete(err, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\". Got '%s'.",
                          show(*date).text);
    uint64_t expires = SIGV4_SKEW_S_MAX;
    if (form->times[QUERY_EXPIRES] > 0 && !slice_to_u64(value[QUERY_EXPIRES], SIGV4_EXPIRES_S_MAX, &expires))
        return incomplete(err, "X-Amz-Expires must be a number of seconds, at most a week (%d), got '%s'.",
                          SIGV4_EXPIRES_S_MAX, show(value[QUERY_EXPIRES]).text);
    claim->expires_s = (int64_t)expires;
    if (claim->payload_hash.len == 0)
        return single_header(request, "x-amz-content-sha256", &claim->payload_hash, err);
    return OK;
}

/* ---- both forms ---- */

/* AWS's wording counts in minutes; a presigned request may live for any number of seconds. */
static void span_text(int64_t seconds, char out[32])
{
    if (seconds % 60 == 0)
        (void)snprintf(out, 32, "%" PRId64 " min.", seconds / 60);
    else
        (void)snprintf(out, 32, "%" PRId64 " sec.", seconds);
}

static enum outcome check_time(const struct sigv4_claim *claim, struct slice date, int64_t now_s, struct error *err)
{
    char signed_at[SIGV4_TIME_BYTES], now[SIGV4_TIME_BYTES], limit[SIGV4_TIME_BYTES], span[32];
    sigv4_time_text(claim->time_s, signed_at);
    if (!slice_equal(claim->date, slice_from(signed_at, 8)))
        return invalid(err, hint_sign,
                       "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                       "'%s' != '%.8s', from '%s'.",
                       show(claim->date).text, signed_at, show(date).text);
    int64_t lives = claim->presigned ? claim->expires_s : SIGV4_SKEW_S_MAX;
    sigv4_time_text(now_s, now);
    if (claim->time_s < now_s - lives) {
        sigv4_time_text(now_s - lives, limit);
        span_text(lives, span);
        return invalid(err, hint_clock, "Signature expired: %s is now earlier than %s (%s - %s)", signed_at, limit,
                       now, span);
    }
    if (claim->time_s > now_s + SIGV4_SKEW_S_MAX) {
        sigv4_time_text(now_s + SIGV4_SKEW_S_MAX, limit);
        span_text(SIGV4_SKEW_S_MAX, span);
        return invalid(err, hint_clock, "Signature not yet current: %s is still later than %s (%s + %s)", signed_at,
                       limit, now, span);
    }
    return OK;
}

static enum outcome read_claim(const struct sigv4_request *request, int64_t now_s, struct sigv4_claim *claim,
                               struct error *err)
{
    struct query_form form;
    TRY(scan_query(request->query, &form, err));
    struct slice authorization = SLICE_EMPTY, date = SLICE_EMPTY, host;
    size_t authorizations = sigv4_header_find(request, SLICE("authorization"), &authorization);
    if (authorizations > 1 || (authorizations > 0 && form.present))
        return incomplete(err, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or one "
                               "Authorization header should be specified.");
    if (authorizations == 0 && !form.present)
        return error_set_code(err, ERROR_DENIED, "MissingAuthenticationTokenException", hint_sign,
                              "Missing Authentication Token");
    if (form.present)
        TRY(read_query_form(request, &form, claim, &date, err));
    else
        TRY(read_header_form(request, authorization, claim, &date, err));
    if (claim->security_token.len > SIGV4_TOKEN_BYTES_MAX)
        return error_set_code(err, ERROR_DENIED, "UnrecognizedClientException", hint_sign,
                              "The security token included in the request is invalid.");
    TRY(single_header(request, "host", &host, err));
    TRY(check_signed_headers(request, claim->signed_headers, err));
    TRY(check_time(claim, date, now_s, err));
    if (claim->signature.len != SHA256_HEX_BYTES)
        return sigv4_mismatch(err);
    return OK;
}

enum outcome sigv4_read(const struct sigv4_request *request, int64_t now_s, struct sigv4_claim *out,
                        struct error *err)
{
    *out = (struct sigv4_claim){ 0 };
    return read_claim(request, now_s, out, err);
}

void sigv4_claim_drop(struct sigv4_claim *claim)
{
    if (claim == NULL)
        return;
    buffer_drop(&claim->storage);
    *claim = (struct sigv4_claim){ 0 };
}
