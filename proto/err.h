/* Errors of input and environment: a short code for programs, one sentence for people.
 *
 * A function that can fail returns 0 or a negative `err_code` and takes an `err *` last. The first
 * message wins: it is the nearest to the cause. It says what was found and what was expected.
 * A bug of ours is an assert instead, never an err. */
#ifndef PROTO_ERR_H
#define PROTO_ERR_H

typedef enum {
    ERR_OK = 0,
    ERR_INVALID = -1,   /* the request makes no sense: wrong range, type, format */
    ERR_NOT_FOUND = -2, /* no such job, model, file */
    ERR_IO = -3,        /* reading or writing failed */
    ERR_NO_MEMORY = -4, /* an allocation or a memory budget */
    ERR_TOO_LARGE = -5, /* a stated limit: bytes, pixels, tokens, depth */
    ERR_BUSY = -6,      /* a bounded queue is full: try again later */
    ERR_TIMEOUT = -7,   /* a deadline passed, or nobody answered */
    ERR_CANCELLED = -8, /* the client cancelled the job */
    ERR_CONFLICT = -9,  /* the same job id with other contents */
    ERR_DEVICE = -10,   /* the device failed, or produced NaN */
    ERR_PROTOCOL = -11, /* a peer broke the protocol */
    ERR_LOST = -12,     /* worker lost too often; the job is quarantined */
} err_code;

typedef struct {
    err_code code;
    char text[1024];
} err;

/* Sets code and text unless one is set already; `e` may be NULL. Returns `code`, so that
 * `return err_set(e, ERR_INVALID, "steps is %d, expected 1 to 150", n);` reads as one thought. */
int err_set(err *e, err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Appends to the text ("…; and this too"), for checks that list every problem. Sets code if unset.
 */
int err_add(err *e, err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "invalid", "not_found", …: the stable name used in JSON, logs and metrics. */
const char *err_name(err_code code);

#endif
