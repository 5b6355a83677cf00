/* Pickles without execution: see pickle.h. The one idea: the machine is a table of opcodes, and
 * what has no function in the table does not exist for it. Python's own documentation of the format
 * is its module pickletools.
 *
 * Each opcode makes at most one value, and nothing is walked or copied but the pairs that a
 * dictionary is made of, which are counted: so work and memory are bounded by the length of the
 * pickle and the few limits below. */
#include "worker/model/pickle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/little.h"
#include "worker/model/pickle_inside.h"

enum {
    PROTOCOL_MOST = 5,
    BYTES_MOST = 16 << 20,
    STACK_MOST = 1 << 20,
    MARKS_MOST = 1 << 10, /* how deep values may be begun inside each other */
    MEMO_MOST = 1 << 20,
    PAIRS_MOST = 1 << 20, /* copied into dictionaries */
    NAME_MOST = 200,      /* of a module or global */
};

typedef struct {
    const uint8_t *bytes;
    size_t size, at, start; /* start: of the current opcode */
    const char *opcode;     /* its name */
    const pickle_global *globals;
    const char *label;
    problems *p;
    pickle *k;
    pickle_value **stack, **memo;
    size_t depth, stack_room, memo_room, memo_used, pairs;
    size_t mark[MARKS_MOST], marks;
    bool done;
} machine;

/* ---- what opcodes are written in; each says what is wrong and returns false or NULL ---- */

#define REFUSE(m, ...) refuse(m, ERR_INVALID, __VA_ARGS__)

static bool refuse(machine *m, err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(machine *m, err_code code, const char *format, ...)
{
    char text[2 * NAME_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return problems_add(m->p, code, "%spickle, byte %zu: %s", m->label, m->start, text);
}

static const uint8_t *take(machine *m, uint64_t bytes)
{
    if (bytes > m->size - m->at) {
        REFUSE(m, "%s needs %llu bytes more, there are %zu: truncated", m->opcode,
               (unsigned long long)bytes, m->size - m->at);
        return NULL;
    }
    const uint8_t *from = m->bytes + m->at;
    m->at += (size_t)bytes;
    return from;
}

/* A length or index of 1 to 8 bytes. */
static bool take_number(machine *m, int bytes, uint64_t *number)
{
    const uint8_t *from = take(m, (uint64_t)bytes);
    if (from)
        *number = little(from, bytes);
    return from;
}

/* Room for one more in an array of pointers. */
static bool grow(machine *m, pickle_value ***array, size_t *room, size_t index)
{
    if (index < *room)
        return true;
    size_t wanted = *room ? *room : 64;
    while (wanted <= index)
        wanted *= 2;
    pickle_value **more = realloc(*array, wanted * sizeof *more);
    if (!more)
        return refuse(m, ERR_NO_MEMORY, "no memory for its values");
    memset(more + *room, 0, (wanted - *room) * sizeof *more);
    *array = more;
    *room = wanted;
    return true;
}

static bool push(machine *m, pickle_value *v)
{
    if (!v)
        return false;
    if (m->depth >= STACK_MOST)
        return REFUSE(m, "more than %d values on the stack", STACK_MOST);
    if (!grow(m, &m->stack, &m->stack_room, m->depth))
        return false;
    m->stack[m->depth++] = v;
    return true;
}

/* Values above the last mark. */
static size_t available(const machine *m)
{
    return m->depth - (m->marks ? m->mark[m->marks - 1] : 0);
}

static bool need(machine *m, size_t count)
{
    return available(m) >= count ||
           REFUSE(m, "%s needs %zu values, there are %zu", m->opcode, count, available(m));
}

static pickle_value *pop(machine *m)
{
    return need(m, 1) ? m->stack[--m->depth] : NULL;
}

/* The top value, which must be of one kind. */
static pickle_value *top(machine *m, pickle_kind kind)
{
    if (!need(m, 1))
        return NULL;
    pickle_value *v = m->stack[m->depth - 1];
    if (v->kind == kind)
        return v;
    REFUSE(m, "%s on %s, expected %s", m->opcode, pickle_kind_name(v->kind),
           pickle_kind_name(kind));
    return NULL;
}

static pickle_value *make(machine *m, pickle_kind kind)
{
    pickle_value *v = pickle_value_new(m->k, kind);
    if (!v)
        refuse(m, ERR_NO_MEMORY, "no memory for its values, or more than %d", PICKLE_VALUES_MOST);
    return v;
}

/* Moves the top `count` values into `to`. */
static bool collect(machine *m, pickle_value *to, size_t count)
{
    m->depth -= count;
    if (count && !pickle_value_append(to, (const pickle_value *const *)&m->stack[m->depth], count))
        return refuse(m, ERR_NO_MEMORY, "no memory for its values");
    return true;
}

/* Takes the last mark away; how many values lie above it. */
static bool unmark(machine *m, size_t *count)
{
    if (!m->marks)
        return REFUSE(m, "%s without MARK", m->opcode);
    *count = available(m);
    m->marks--;
    return true;
}

/* ---- opcodes; `arg` is from their row of the table ---- */

static bool op_proto(machine *m, int most)
{
    uint64_t version;
    return take_number(m, 1, &version) &&
           (version <= (uint64_t)most ||
            REFUSE(m, "protocol %llu, expected at most %d", (unsigned long long)version, most));
}

/* Passes over bytes: the length of a frame (a hint for readers of streams). */
static bool op_skip(machine *m, int bytes)
{
    return take(m, (uint64_t)bytes);
}

static bool op_stop(machine *m, int arg)
{
    (void)arg;
    if (m->depth != 1 || m->marks)
        return REFUSE(m, "STOP with %zu values, expected one", m->depth);
    m->k->result = m->stack[0];
    m->k->used = m->at;
    m->done = true;
    return true;
}

static bool op_mark(machine *m, int arg)
{
    (void)arg;
    if (m->marks == MARKS_MOST)
        return REFUSE(m, "more than %d values begun inside each other", MARKS_MOST);
    m->mark[m->marks++] = m->depth;
    return true;
}

static bool push_integer(machine *m, pickle_kind kind, int64_t integer)
{
    pickle_value *v = make(m, kind);
    if (v)
        v->integer = integer;
    return push(m, v);
}

static bool op_bool(machine *m, int truth)
{
    return push_integer(m, PICKLE_BOOL, truth);
}

/* 1 and 2 bytes have no sign, 4 have. */
static bool op_integer(machine *m, int bytes)
{
    uint64_t n;
    return take_number(m, bytes, &n) &&
           push_integer(m, PICKLE_INTEGER, bytes == 4 ? (int32_t)(uint32_t)n : (int64_t)n);
}

static bool op_real(machine *m, int bytes)
{
    return take(m, (uint64_t)bytes) && push(m, make(m, PICKLE_REAL));
}

/* What the next bytes spell: a text, or a number too long for an integer. */
static bool push_bytes(machine *m, pickle_kind kind, uint64_t length)
{
    const uint8_t *from = take(m, length);
    pickle_value *v = from ? make(m, kind) : NULL;
    if (v) {
        v->text = (const char *)from;
        v->length = (size_t)length;
    }
    return push(m, v);
}

static bool op_text(machine *m, int bytes_of_length)
{
    uint64_t length;
    return take_number(m, bytes_of_length, &length) && push_bytes(m, PICKLE_TEXT, length);
}

static bool op_long(machine *m, int bytes_of_length)
{
    uint64_t length, n = 0;
    if (!take_number(m, bytes_of_length, &length))
        return false;
    if (length > 8)
        return push_bytes(m, PICKLE_LONG, length);
    if (length && !take_number(m, (int)length, &n))
        return false;
    int unused = 64 - 8 * (int)length;
    return push_integer(m, PICKLE_INTEGER, length ? (int64_t)(n << unused) >> unused : 0);
}

/* A new value that holds the top `count` values. */
static bool push_items(machine *m, pickle_kind kind, size_t count)
{
    pickle_value *v = need(m, count) ? make(m, kind) : NULL;
    return v && collect(m, v, count) && push(m, v);
}

static bool op_new(machine *m, int kind)
{
    return push_items(m, (pickle_kind)kind, 0);
}

static bool op_tuple(machine *m, int count)
{
    return push_items(m, PICKLE_TUPLE, (size_t)count);
}

static bool op_tuple_from_mark(machine *m, int arg)
{
    (void)arg;
    size_t count = 0;
    return unmark(m, &count) && push_items(m, PICKLE_TUPLE, count);
}

/* Puts the top `count` values into the container below them. */
static bool fill(machine *m, pickle_kind kind, size_t count)
{
    if (kind == PICKLE_DICT && count % 2)
        return REFUSE(m, "%s with a key that has no value", m->opcode);
    if (!need(m, count + 1))
        return false;
    m->depth -= count;
    pickle_value *to = top(m, kind);
    m->depth += count;
    return to && collect(m, to, count);
}

static bool op_append(machine *m, int kind)
{
    return fill(m, (pickle_kind)kind, kind == PICKLE_DICT ? 2 : 1);
}

static bool op_append_from_mark(machine *m, int kind)
{
    size_t count = 0;
    return unmark(m, &count) && fill(m, (pickle_kind)kind, count);
}

static bool put(machine *m, uint64_t index)
{
    if (index >= MEMO_MOST)
        return REFUSE(m, "%s %llu, expected below %d", m->opcode, (unsigned long long)index,
                      MEMO_MOST);
    if (!need(m, 1) || !grow(m, &m->memo, &m->memo_room, (size_t)index))
        return false;
    m->memo_used += !m->memo[index];
    m->memo[index] = m->stack[m->depth - 1];
    return true;
}

static bool op_put(machine *m, int bytes)
{
    uint64_t index;
    return take_number(m, bytes, &index) && put(m, index);
}

static bool op_memoize(machine *m, int arg)
{
    (void)arg;
    return put(m, m->memo_used);
}

static bool op_get(machine *m, int bytes)
{
    uint64_t index;
    if (!take_number(m, bytes, &index))
        return false;
    if (index >= m->memo_room || !m->memo[index])
        return REFUSE(m, "%s of value %llu, which was not put", m->opcode,
                      (unsigned long long)index);
    return push(m, m->memo[index]);
}

static bool push_global(machine *m, const char *module, size_t module_length, const char *name,
                        size_t length)
{
    for (const pickle_global *g = m->globals; g->module; g++)
        if (strlen(g->module) == module_length && memcmp(g->module, module, module_length) == 0 &&
            strlen(g->name) == length && memcmp(g->name, name, length) == 0) {
            pickle_value *v = make(m, PICKLE_GLOBAL);
            if (v)
                v->global = g;
            return push(m, v);
        }
    return REFUSE(m, "%s %.*s.%.*s is refused: tensors do not need it, and a model runs no code",
                  m->opcode, (int)(module_length < 60 ? module_length : 60), module,
                  (int)(length < 60 ? length : 60), name);
}

/* A text up to the end of the line. */
static const char *take_line(machine *m, size_t *length)
{
    const uint8_t *from = m->bytes + m->at;
    size_t left = m->size - m->at;
    const uint8_t *end = memchr(from, '\n', left < NAME_MOST ? left : NAME_MOST);
    if (!end) {
        REFUSE(m, "%s without the end of a name", m->opcode);
        return NULL;
    }
    *length = (size_t)(end - from);
    m->at += *length + 1;
    return (const char *)from;
}

static bool op_global(machine *m, int arg)
{
    (void)arg;
    size_t module_length = 0, length = 0;
    const char *module = take_line(m, &module_length);
    const char *name = module ? take_line(m, &length) : NULL;
    return name && push_global(m, module, module_length, name, length);
}

static bool op_stack_global(machine *m, int arg)
{
    (void)arg;
    const pickle_value *name = pop(m), *module = name ? pop(m) : NULL;
    if (!module)
        return false;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return REFUSE(m, "STACK_GLOBAL of %s and %s, expected two texts",
                      pickle_kind_name(module->kind), pickle_kind_name(name->kind));
    return push_global(m, module->text, module->length, name->text, name->length);
}

/* OrderedDict() or OrderedDict([(key, value), …]). */
static bool push_dict(machine *m, const pickle_value *arguments)
{
    pickle_value *dict = make(m, PICKLE_DICT);
    const pickle_value *pairs = arguments->count ? arguments->item[0] : NULL;
    bool good = arguments->count <= 1 && (!pairs || pairs->kind == PICKLE_LIST);
    m->pairs += good && pairs ? pairs->count : 0;
    if (m->pairs > PAIRS_MOST)
        return REFUSE(m, "dictionaries of more than %d pairs", PAIRS_MOST);
    for (size_t i = 0; dict && good && pairs && i < pairs->count; i++) {
        const pickle_value *pair = pairs->item[i];
        good = (pair->kind == PICKLE_TUPLE || pair->kind == PICKLE_LIST) && pair->count == 2;
        if (good && !pickle_value_append(dict, pair->item, 2))
            return refuse(m, ERR_NO_MEMORY, "no memory for its values");
    }
    return good ? push(m, dict) : REFUSE(m, "a dictionary of something else than pairs");
}

static bool op_reduce(machine *m, int arg)
{
    (void)arg;
    const pickle_value *arguments = top(m, PICKLE_TUPLE);
    if (!arguments || !pop(m))
        return false;
    const pickle_value *called = top(m, PICKLE_GLOBAL);
    if (!called || !pop(m))
        return false;
    if (called->global->role == PICKLE_DICT_CLASS)
        return push_dict(m, arguments);
    pickle_value *v = make(m, PICKLE_CALL);
    if (!v)
        return false;
    v->global = called->global;
    if (!pickle_value_append(v, &arguments, 1))
        return refuse(m, ERR_NO_MEMORY, "no memory for its values");
    return push(m, v);
}

/* The attributes of a dictionary (torch keeps versions there): left out. */
static bool op_build(machine *m, int arg)
{
    (void)arg;
    return top(m, PICKLE_DICT) && pop(m) && top(m, PICKLE_DICT);
}

static bool op_binpersid(machine *m, int arg)
{
    (void)arg;
    const pickle_value *id = pop(m);
    pickle_value *v = id ? make(m, PICKLE_PERSISTENT) : NULL;
    if (!v)
        return false;
    if (!pickle_value_append(v, &id, 1) || !pickle_note_persistent(m->k, v))
        return refuse(m, ERR_NO_MEMORY, "no memory for its values");
    return push(m, v);
}

/* ---- the machine ---- */

/* Every opcode there is; those without a function are refused. */
static const struct opcode {
    const char *name;
    bool (*run)(machine *m, int arg);
    int arg;
} opcodes[256] = {
    [0x80] = {"PROTO", op_proto, PROTOCOL_MOST},
    [0x95] = {"FRAME", op_skip, 8},
    ['.'] = {"STOP", op_stop, 0},
    ['('] = {"MARK", op_mark, 0},
    ['N'] = {"NONE", op_new, PICKLE_NONE},
    [0x88] = {"NEWTRUE", op_bool, 1},
    [0x89] = {"NEWFALSE", op_bool, 0},
    ['J'] = {"BININT", op_integer, 4},
    ['K'] = {"BININT1", op_integer, 1},
    ['M'] = {"BININT2", op_integer, 2},
    [0x8a] = {"LONG1", op_long, 1},
    ['G'] = {"BINFLOAT", op_real, 8},
    ['U'] = {"SHORT_BINSTRING", op_text, 1},
    ['T'] = {"BINSTRING", op_text, 4},
    [0x8c] = {"SHORT_BINUNICODE", op_text, 1},
    ['X'] = {"BINUNICODE", op_text, 4},
    [')'] = {"EMPTY_TUPLE", op_new, PICKLE_TUPLE},
    [0x85] = {"TUPLE1", op_tuple, 1},
    [0x86] = {"TUPLE2", op_tuple, 2},
    [0x87] = {"TUPLE3", op_tuple, 3},
    ['t'] = {"TUPLE", op_tuple_from_mark, 0},
    [']'] = {"EMPTY_LIST", op_new, PICKLE_LIST},
    ['a'] = {"APPEND", op_append, PICKLE_LIST},
    ['e'] = {"APPENDS", op_append_from_mark, PICKLE_LIST},
    ['}'] = {"EMPTY_DICT", op_new, PICKLE_DICT},
    ['s'] = {"SETITEM", op_append, PICKLE_DICT},
    ['u'] = {"SETITEMS", op_append_from_mark, PICKLE_DICT},
    ['q'] = {"BINPUT", op_put, 1},
    ['r'] = {"LONG_BINPUT", op_put, 4},
    [0x94] = {"MEMOIZE", op_memoize, 0},
    ['h'] = {"BINGET", op_get, 1},
    ['j'] = {"LONG_BINGET", op_get, 4},
    ['c'] = {"GLOBAL", op_global, 0},
    [0x93] = {"STACK_GLOBAL", op_stack_global, 0},
    ['R'] = {"REDUCE", op_reduce, 0},
    ['b'] = {"BUILD", op_build, 0},
    ['Q'] = {"BINPERSID", op_binpersid, 0},

    /* Refused. */
    ['i'] = {.name = "INST"},
    ['o'] = {.name = "OBJ"},
    [0x81] = {.name = "NEWOBJ"},
    [0x92] = {.name = "NEWOBJ_EX"},
    [0x82] = {.name = "EXT1"},
    [0x83] = {.name = "EXT2"},
    [0x84] = {.name = "EXT4"},
    ['P'] = {.name = "PERSID"},
    ['0'] = {.name = "POP"},
    ['1'] = {.name = "POP_MARK"},
    ['2'] = {.name = "DUP"},
    ['I'] = {.name = "INT"},
    ['L'] = {.name = "LONG"},
    [0x8b] = {.name = "LONG4"},
    ['F'] = {.name = "FLOAT"},
    ['S'] = {.name = "STRING"},
    ['V'] = {.name = "UNICODE"},
    [0x8d] = {.name = "BINUNICODE8"},
    ['B'] = {.name = "BINBYTES"},
    ['C'] = {.name = "SHORT_BINBYTES"},
    [0x8e] = {.name = "BINBYTES8"},
    [0x96] = {.name = "BYTEARRAY8"},
    [0x97] = {.name = "NEXT_BUFFER"},
    [0x98] = {.name = "READONLY_BUFFER"},
    ['l'] = {.name = "LIST"},
    ['d'] = {.name = "DICT"},
    ['p'] = {.name = "PUT"},
    ['g'] = {.name = "GET"},
    [0x8f] = {.name = "EMPTY_SET"},
    [0x90] = {.name = "ADDITEMS"},
    [0x91] = {.name = "FROZENSET"},
};

static bool step(machine *m)
{
    m->start = m->at;
    if (m->at >= m->size)
        return REFUSE(m, "it ends without STOP: truncated");
    const struct opcode *o = &opcodes[m->bytes[m->at++]];
    m->opcode = o->name;
    if (!o->name)
        return REFUSE(m, "0x%02x is no opcode", m->bytes[m->start]);
    if (!o->run)
        return REFUSE(m, "opcode %s is refused: tensors do not need it", o->name);
    return o->run(m, o->arg);
}

bool pickle_read(pickle *k, const uint8_t *bytes, size_t size, const pickle_global *globals,
                 const char *label, problems *p)
{
    *k = (pickle){0};
    machine *m = calloc(1, sizeof *m);
    if (!m)
        return problems_add(p, ERR_NO_MEMORY, "%sno memory to read the pickle", label);
    *m = (machine){.bytes = bytes,
                   .size = size < BYTES_MOST ? size : BYTES_MOST,
                   .globals = globals,
                   .label = label,
                   .p = p,
                   .k = k};
    while (!m->done && step(m))
        ;
    bool done = m->done;
    free(m->stack);
    free(m->memo);
    free(m);
    return done;
}
