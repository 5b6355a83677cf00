/* A reader of pickles that runs nothing. It knows the few opcodes that files of tensors are made of
 * and builds values of its own from them; any other opcode, and any name that the caller did not
 * list, is refused by name. A call in the pickle becomes a note that says what would be called with
 * what; what such a note means is the caller's to say.
 *
 * Reads from memory, so that a fuzzer can drive it. Texts point into the bytes. */
#ifndef WORKER_MODEL_PICKLE_H
#define WORKER_MODEL_PICKLE_H

#include <stdint.h>

#include "worker/model/problems.h"

/* A name that a pickle may use. */
typedef struct {
    const char *module, *name;
    int role; /* the caller's; PICKLE_DICT_CLASS: a call makes a dictionary */
} pickle_global;

enum { PICKLE_DICT_CLASS = -1 };

typedef enum {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_LONG, /* does not fit: text is its bytes, little endian, two's complement */
    PICKLE_REAL, /* its value is not kept */
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_GLOBAL,
    PICKLE_CALL,       /* of `global`; item[0] is the tuple of arguments */
    PICKLE_PERSISTENT, /* item[0] is what the file calls the object by */
} pickle_kind;

typedef struct pickle_value pickle_value;
struct pickle_value {
    pickle_kind kind;
    int64_t integer; /* INTEGER; BOOL: 0 or 1 */
    const char *text;
    size_t length;             /* of the text */
    const pickle_value **item; /* of TUPLE, LIST; of DICT: key, value, key, value … */
    size_t count, capacity;
    const pickle_global *global;
};

/* All values of one pickle. They may refer to each other in circles: never walk them blindly. */
typedef struct {
    const pickle_value *result;
    const pickle_value **persistent; /* every PERSISTENT value, in the order of the file */
    size_t persistents;
    struct pickle_block *values;
    size_t used; /* bytes of the pickle */
} pickle;

/* Reads the pickle at the start of `bytes`. `globals` ends with a row without module. False with
 * the problem in `p`, behind `label`; pickle_done is due in either case. */
bool pickle_read(pickle *k, const uint8_t *bytes, size_t size, const pickle_global *globals,
                 const char *label, problems *p);
void pickle_done(pickle *k);

bool pickle_is_text(const pickle_value *v, const char *text);
/* The value of a text key of a DICT, the last one if there are several; NULL: absent, or `dict` is
 * no DICT. */
const pickle_value *pickle_get(const pickle_value *dict, const char *key);

#endif
