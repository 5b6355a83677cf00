/* Files of torch.save: what they hold, and that nothing in them is ever run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/torch_file.h"
#include "worker/model/torch.h"

#define P(literal) literal, sizeof literal - 1

static const float four[] = {1, 2, 3, 4};

/* Reads; every tensor must lie inside. The message, "" when all went well. */
static void read_into(tensor_list *list, const torch_file *f, char message[1024])
{
    problems p = {0};
    err e = {0};
    bool good = torch_read(list, f->bytes, f->size, "", &p);
    assert_int_equal(good, problems_report(&p, "FILE", &e) == 0);
    for (size_t i = 0; good && i < list->count; i++) {
        const uint8_t *at = list->tensor[i].data;
        assert_true(at >= f->bytes && at + list->tensor[i].bytes <= f->bytes + f->size);
    }
    snprintf(message, 1024, "%s", e.text);
}

static void read_only(const torch_file *f, char message[1024])
{
    tensor_list list = {0};
    read_into(&list, f, message);
    tensor_list_done(&list);
}

static void refused(torch_file f, const char *what, const char *words)
{
    char message[1024];
    read_only(&f, message);
    if (!strstr(message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", what, message, words);
    torch_file_done(&f);
}

static torch_file zipped(const void *pickle, size_t size)
{
    return torch_file_zip((const torch_file_entry[]){{"archive/data.pkl", pickle, size, 0},
                                                     {"archive/byteorder", P("little"), 0},
                                                     {"archive/data/0", four, sizeof four, 0},
                                                     {0}});
}

static torch_file legacy(const void *pickle, size_t size)
{
    return torch_file_legacy(pickle, size, torch_file_keys, torch_file_keys_size, 4);
}

/* ---- good ones ---- */

static void holds_one_tensor(torch_file f)
{
    char message[1024];
    tensor_list list = {0};
    float values[2];
    read_into(&list, &f, message);
    assert_string_equal(message, "");
    assert_int_equal(list.count, 1);
    assert_string_equal(list.tensor[0].name, "a");
    assert_int_equal(list.tensor[0].type, F32);
    assert_int_equal(list.tensor[0].dims, 1);
    assert_int_equal(list.tensor[0].dim[0], 2);
    assert_int_equal(list.tensor[0].bytes, sizeof values);
    memcpy(values, list.tensor[0].data, sizeof values);
    assert_true(values[0] == 1 && values[1] == 2);
    tensor_list_done(&list);
    torch_file_done(&f);
}

static void both_formats_are_read(void **state)
{
    (void)state;
    holds_one_tensor(zipped(torch_file_pickle, torch_file_pickle_size));
    holds_one_tensor(legacy(torch_file_pickle, torch_file_pickle_size));
}

#define TENSOR_OF(storage, rest)                                                                   \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage rest "\211ccollections\nOrderedDict\n)RtR"
#define STORAGE(class, count)                                                                      \
    "(X\7\0\0\0storagectorch\n" class "\nX\1\0\0\0"                                                \
                                      "0X\3\0\0\0cpu" count "tQ"
#define FLOATS     STORAGE("FloatStorage", "K\4")
#define ALL        "K\0K\4\205K\1\205"
#define KEY(name)  "X\1\0\0\0" name
#define FILE_OF(v) "\200\2}" KEY("a") v "s."

/* Dictionaries in dictionaries, old and new ways to write one. */
static void wrappers_are_unwrapped(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t size;
    } rows[] = {
        {P("\200\2}X\12\0\0\0params_ema}" KEY("a") TENSOR_OF(FLOATS, ALL) "ss.")},
        {P("\200\2}(X\6\0\0\0params}X\12\0\0\0params_ema}" KEY("a") TENSOR_OF(FLOATS, ALL) "su.")},
        {P("\200\2}X\12\0\0\0state_dictccollections\nOrderedDict\n)R(" KEY("a")
               TENSOR_OF(FLOATS, ALL) "u}X\11\0\0\0_metadata}sbs.")},
        {P("\200\2ccollections\nOrderedDict\n]("
           "(" KEY("a") TENSOR_OF(FLOATS, ALL) "te\205R.")},
        /* protocol 4: frame, short texts, names on the stack, memo; a number beside the tensor */
        {P("\200\4\225\0\0\0\0\0\0\0\0}\224(\214\1aq\5\214\14torch._utils\224\214\22_rebuild_"
           "parameter\223(" TENSOR_OF(FLOATS, ALL) "\210NtR\214\1bK\7u.")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        torch_file f = zipped(rows[i].pickle, rows[i].size);
        tensor_list list = {0};
        char message[1024];
        read_into(&list, &f, message);
        if (*message)
            fail_msg("row %zu: %s", i, message);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.tensor[0].dim[0], 4);
        tensor_list_done(&list);
        torch_file_done(&f);
    }
}

/* ---- bad ones ---- */

static const struct {
    const char *what, *pickle;
    size_t size;
    const char *words;
} hostile[] = {
    {"os.system", P("cos\nsystem\n(X\2\0\0\0lstR."), "GLOBAL os.system is refused"},
    {"posix.system", P("\200\2cposix\nsystem\nX\2\0\0\0ls\205R."), "posix.system"},
    {"eval",
     P("\200\2cbuiltins\neval\nX\1\0\0\0"
       "1\205R."),
     "builtins.eval"},
    {"Python 2's eval", P("c__builtin__\neval\n."), "__builtin__.eval"},
    {"getattr", P("\200\2cbuiltins\ngetattr\n."), "builtins.getattr"},
    {"subprocess", P("\200\4\214\12subprocess\214\5Popen\223."),
     "STACK_GLOBAL subprocess.Popen is refused"},
    {"a name from the memo", P("\200\4\214\2os\224\214\6system\224h\0h\1\223."), "os.system"},
    {"numpy", P("\200\2cnumpy.core.multiarray\n_reconstruct\n."), "numpy.core.multiarray"},
    {"torch itself", P("\200\2ctorch\nload\n."), "torch.load"},
    {"a dotted path", P("\200\2ccollections\nOrderedDict.__init__\n."), "OrderedDict.__init__"},
    {"a longer module", P("\200\2ctorch._utils.x\n_rebuild_tensor_v2\n."), "torch._utils.x"},
    {"a shorter name", P("\200\2ctorch\nFloat\n."), "torch.Float is refused"},
    {"no name", P("\200\2c\n\n."), "GLOBAL . is refused"},
    {"a name without an end", P("\200\2cos\nsystem"), "without the end of a name"},
    {"a control character", P("\200\2cos\nsy\033[2Jstem\n."), "os.sy?[2Jstem"},
    {"INST", P("(X\2\0\0\0lsios\nsystem\n."), "opcode INST is refused"},
    {"OBJ", P("\200\2(ccollections\nOrderedDict\no."), "opcode OBJ"},
    {"NEWOBJ", P("\200\2ccollections\nOrderedDict\n)\201."), "opcode NEWOBJ"},
    {"NEWOBJ_EX", P("\200\4ccollections\nOrderedDict\n)}\222."), "opcode NEWOBJ_EX"},
    {"EXT1", P("\200\2\202\1."), "opcode EXT1"},
    {"EXT2", P("\200\2\203\1\0."), "opcode EXT2"},
    {"EXT4", P("\200\2\204\1\0\0\0."), "opcode EXT4"},
    {"PERSID", P("\200\2Pstorage\n."), "opcode PERSID"},
    {"DUP", P("\200\2]2."), "opcode DUP"},
    {"POP", P("\200\2N0."), "opcode POP"},
    {"STRING", P("\200\2S'a'\n."), "opcode STRING"},
    {"BYTEARRAY8", P("\200\5\226\377\377\377\377\377\377\377\377."), "opcode BYTEARRAY8"},
    {"NEXT_BUFFER", P("\200\5\227."), "opcode NEXT_BUFFER"},
    {"FROZENSET", P("\200\4(\221."), "opcode FROZENSET"},
    {"no opcode", P("\200\2\377."), "0xff is no opcode"},
    {"a call of a list", P("\200\2])R."), "REDUCE on a list, expected a global"},
    {"a call of a result", P("\200\2" TENSOR_OF(FLOATS, ALL) ")R."),
     "REDUCE on the result of a call"},
    {"a call of a text", P("\200\2X\2\0\0\0os)R."), "REDUCE on a text"},
    {"arguments in a list", P("\200\2ccollections\nOrderedDict\n]R."), "expected a tuple"},
    {"a dictionary of numbers", P("\200\2ccollections\nOrderedDict\n]K\1a\205R."), "than pairs"},
    {"a storage called", P("\200\2ctorch\nFloatStorage\n)R."), "no dictionary of tensors"},
    {"BUILD of a list", P("\200\2]}b."), "BUILD on a list"},
    {"BUILD of a call", P("\200\2" TENSOR_OF(FLOATS, ALL) "}b."), "BUILD on the result of a call"},
    {"BUILD with a tuple", P("\200\2})b."), "BUILD on a tuple, expected a dictionary"},
    {"BUILD of a global", P("\200\2ccollections\nOrderedDict\n}b."), "BUILD on a global"},
    {"an object by number", P("\200\2}" KEY("a") "K\1Qs."), "no storage"},
    {"an object by dictionary", P("\200\2}" KEY("a") "}Qs."), "no storage"},
    {"an object of another kind", P("\200\2(X\6\0\0\0modulectorch\nFloatStorage\nNNNtQ."),
     "no storage"},
    {"a storage that is a function",
     P("\200\2(X\7\0\0\0storagectorch._utils\n_rebuild_tensor_v2\nX\1\0\0\0"
       "0NK\1tQ."),
     "no storage"},
    {"an item of a list", P("\200\2]K\1K\2s."), "SETITEM on a list"},
    {"an append to a tuple", P("\200\2)K\1a."), "APPEND on a tuple"},
    {"a key without value", P("\200\2}(K\1u."), "a key that has no value"},
    {"no mark", P("\200\2}u."), "SETITEMS without MARK"},
    {"across a mark", P("\200\2K\1(\205."), "TUPLE1 needs 1 values"},
    {"an empty stack", P("\200\2R."), "REDUCE needs 1 values"},
    {"no result", P("\200\2."), "STOP with 0 values"},
    {"two results", P("\200\2NN."), "STOP with 2 values"},
    {"a mark left", P("\200\2N(."), "STOP with 1 values"},
    {"a memo of 4 G", P("\200\2Nr\377\377\377\377."), "4294967295, expected below"},
    {"a memo not put", P("\200\2h\7."), "value 7, which was not put"},
    {"a far memo not put", P("\200\2j\377\377\377\377."), "which was not put"},
    {"a memo of nothing", P("\200\2q\0."), "BINPUT needs 1 values"},
    {"a text of 4 GB", P("\200\2X\377\377\377\377abc."), "needs 4294967295 bytes more"},
    {"a long of 255 bytes", P("\200\2\212\377\1."), "LONG1 needs 255 bytes more"},
    {"protocol 200", P("\200\310N."), "protocol 200, expected at most 5"},
    {"names that are numbers", P("\200\4K\1K\2\223."), "STACK_GLOBAL of a whole number"},
    {"None", P("\200\2N."), "no dictionary of tensors"},
    {"a dictionary in itself", P("\200\2}q\0X\6\0\0\0paramsh\0s."), "no dictionary of tensors"},
    {"a list in itself", P("\200\2]q\0h\0a."), "no dictionary of tensors"},
    /* Tensors that are none. */
    {"another storage's elements", P(FILE_OF(TENSOR_OF(FLOATS, "K\3K\2\205K\1\205"))),
     "takes 2 elements from 3 on, its storage has 4"},
    {"a negative start", P(FILE_OF(TENSOR_OF(FLOATS, "J\377\377\377\377K\2\205K\1\205"))),
     "not made of"},
    {"a huge start",
     P(FILE_OF(TENSOR_OF(FLOATS, "\212\10\377\377\377\377\377\377\377\177K\2\205K\1\205"))),
     "its storage has 4"},
    {"sizes beyond counting",
     P(FILE_OF(TENSOR_OF(FLOATS, "K\0J\377\377\377\177J\377\377\377\177J\377\377\377\177\207"
                                 "K\0K\0K\0\207"))),
     "no block of elements"},
    {"a transposed one", P(FILE_OF(TENSOR_OF(FLOATS, "K\0K\2K\2\206K\1K\2\206"))),
     "save it again after .contiguous()"},
    {"a repeated one", P(FILE_OF(TENSOR_OF(FLOATS, "K\0K\4\205K\0\205"))), "no block of elements"},
    {"more strides", P(FILE_OF(TENSOR_OF(FLOATS, "K\0K\4\205K\1K\1\206"))), "not made of"},
    {"five dimensions", P(FILE_OF(TENSOR_OF(FLOATS, "K\0(K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1t"))),
     "at most 4"},
    {"a storage that is a text", P(FILE_OF(TENSOR_OF(KEY("b"), ALL))), "not made of"},
    {"no arguments", P(FILE_OF("ctorch._utils\n_rebuild_tensor_v2\n)R")), "not made of"},
    {"another type of storage", P(FILE_OF(TENSOR_OF(STORAGE("DoubleStorage", "K\4"), ALL))),
     "storage 0"},
    {"a longer storage", P(FILE_OF(TENSOR_OF(STORAGE("FloatStorage", "K\5"), ALL))), "storage 0"},
    {"a storage of -1", P(FILE_OF(TENSOR_OF(STORAGE("FloatStorage", "J\377\377\377\377"), ALL))),
     "no storage"},
    {"a storage of 2^62",
     P(FILE_OF(TENSOR_OF(STORAGE("FloatStorage", "\212\10\0\0\0\0\0\0\0\100"), ALL))), "storage 0"},
    {"two storages of one key",
     P("\200\2}(" KEY("a") TENSOR_OF(FLOATS, ALL) KEY("b")
           TENSOR_OF(STORAGE("IntStorage", "K\4"), ALL) "u."),
     "described in two ways"},
    {"a zero byte in a name", P("\200\2}X\2\0\0\0a\0" TENSOR_OF(FLOATS, ALL) "s."), "a zero byte"},
};

static void hostile_pickles_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        refused(zipped(hostile[i].pickle, hostile[i].size), hostile[i].what, hostile[i].words);
        /* Without tensors the older format has no storages either. */
        bool storages = memmem(hostile[i].pickle, hostile[i].size, "storage", 7) &&
                        !strstr(hostile[i].words, "no dictionary");
        refused(storages ? legacy(hostile[i].pickle, hostile[i].size)
                         : torch_file_legacy(hostile[i].pickle, hostile[i].size, P("\200\2]."), 0),
                hostile[i].what, hostile[i].words);
    }
}

/* The pickle alone, which is no file of torch.save: refused for what it asks for. */
static void bare_pickles_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile && hostile[i].size > 2; i++) {
        torch_file f = {0};
        torch_file_add(&f, hostile[i].pickle, hostile[i].size);
        bool global = strstr(hostile[i].words, ".system") || strstr(hostile[i].words, ".eval");
        if (global)
            assert_true(torch_is(f.bytes, f.size));
        refused(f, hostile[i].what, global ? hostile[i].words : "FILE: ");
    }
}

/* `count` times `part`, then `end`. */
static torch_file repeated(const char *part, size_t size, int count, const char *end)
{
    torch_file pickle = {.bytes = malloc(2 + size * (size_t)count + strlen(end))};
    memcpy(pickle.bytes, "\200\2", 2);
    for (pickle.size = 2; count-- > 0; pickle.size += size)
        memcpy(pickle.bytes + pickle.size, part, size);
    memcpy(pickle.bytes + pickle.size, end, strlen(end));
    pickle.size += strlen(end);
    torch_file f = zipped(pickle.bytes, pickle.size);
    torch_file_done(&pickle);
    return f;
}

static void limits_hold(void **state)
{
    (void)state;
    refused((torch_file){0}, "an empty file", "an empty file");
    refused(zipped("", 0), "nothing", "ends without STOP");
    refused(repeated(P("("), 2000, "."), "marks", "more than 1024 values begun");
    refused(repeated(P("N"), 1100000, "."), "values", "more than 1048576");
    refused(repeated(P("Nq\0"), 1100000, "."), "values with memo", "more than 1048576");
    refused(repeated(P(")\205"), 2000, "."), "many tuples", "STOP with 2000 values");
    /* Deep nesting is no depth of calls: nothing walks it. */
    refused(repeated(P("N\205"), 1, "."), "a tuple", "no dictionary of tensors");
    torch_file deep = {malloc(500004), 500004};
    memset(deep.bytes, '\205', deep.size);
    memcpy(deep.bytes, "\200\2N", 3);
    deep.bytes[deep.size - 1] = '.';
    refused(zipped(deep.bytes, deep.size), "half a million tuples in each other",
            "no dictionary of tensors");
    torch_file_done(&deep);
}

/* A dictionary made of pairs copies them: one list of pairs must not become many dictionaries. */
static void copies_are_bounded(void **state)
{
    (void)state;
    torch_file f = {0};
    torch_file_add(&f, P("\200\2](ccollections\nOrderedDict\nq\0NN\206q\1]("));
    for (int i = 0; i < 100000; i++)
        torch_file_add(&f, P("h\1"));
    torch_file_add(&f, P("e\205q\2"));
    for (int i = 0; i < 30; i++)
        torch_file_add(&f, P("h\0h\2R"));
    torch_file_add(&f, P("e."));
    refused(zipped(f.bytes, f.size), "thirty dictionaries of one list", "more than 1048576 pairs");
    torch_file_done(&f);
}

/* ---- archives ---- */

#define GOOD_PICKLE torch_file_pickle, torch_file_pickle_size

static void odd_archives_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what, *words;
        torch_file_entry entry[5];
    } rows[] = {
        {"no pickle", "0 pickles", {{"a/data/0", four, 16, 0}}},
        {"a pickle without a folder", "0 pickles", {{"data.pkl", P("N."), 0}}},
        {"a pickle in a folder of a folder", "0 pickles", {{"a/b/data.pkl", P("N."), 0}}},
        {"two pickles", "2 pickles", {{"a/data.pkl", P("N."), 0}, {"b/data.pkl", P("N."), 0}}},
        {"one name twice", "one name", {{"a/data.pkl", P("N."), 0}, {"a/data.pkl", P("N."), 0}}},
        {"a compressed pickle", "data.pkl is compressed", {{"a/data.pkl", P("N."), 8}}},
        {"big-endian", "byte order", {{"a/data.pkl", P("N."), 0}, {"a/byteorder", P("big"), 0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(torch_file_zip(rows[i].entry), rows[i].what, rows[i].words);
    const torch_file_entry pickle = {"a/data.pkl", GOOD_PICKLE, 0};
    refused(torch_file_zip((const torch_file_entry[]){pickle, {0}}), "no storage",
            "data/0 is missing");
    refused(torch_file_zip((const torch_file_entry[]){pickle, {"b/data/0", four, 16, 0}, {0}}),
            "the storage of another folder", "data/0 is missing");
    refused(torch_file_zip((const torch_file_entry[]){pickle, {"a/data/0", four, 16, 8}, {0}}),
            "a compressed storage", "data/0 is compressed");
    refused(torch_file_zip((const torch_file_entry[]){pickle, {"a/data/0", four, 12, 0}, {0}}),
            "a short storage", "storage 0 has 12 bytes, expected 4 elements of 4");
}

/* One changed number in a good archive. */
static void broken_archives_are_refused(void **state)
{
    (void)state;
    torch_file good = zipped(GOOD_PICKLE);
    const size_t end = good.size - 22;
    const size_t directory = (size_t)good.bytes[end + 16] | (size_t)good.bytes[end + 17] << 8;
    const struct {
        const char *what;
        size_t at;
        uint8_t byte;
        const char *words;
    } rows[] = {
        {"a volume", end + 4, 1, "several volumes"},
        {"more entries", end + 10, 4, "directory is broken"},
        {"a wall of entries", end + 11, 200, "entries in"},
        {"a directory elsewhere", end + 16, 1, "directory is broken"},
        {"a directory outside", end + 18, 200, "the file has"},
        {"a comment that is not there", end + 20, 1, "directory is missing"},
        {"an entry elsewhere", directory + 42, 1, "is not where the directory says"},
        {"an entry outside", directory + 44, 200, "is not where the directory says"},
        {"another name in front", 30, 'X', "is not where the directory says"},
        {"an entry that ends outside", directory + 26, 9, "bytes, the file has"},
        {"an encrypted entry", directory + 8, 1, "encrypted"},
        {"64 bits that are not there", directory + 45, 255, "is not where the directory says"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        torch_file f = {0};
        torch_file_add(&f, good.bytes, good.size);
        f.bytes[rows[i].at] = rows[i].byte;
        refused(f, rows[i].what, rows[i].words);
    }
    torch_file_done(&good);
}

/* Every beginning of a good file is refused, in a block of exactly its size. */
static void truncation_is_refused_at_every_byte(void **state)
{
    (void)state;
    torch_file whole[] = {zipped(GOOD_PICKLE), legacy(GOOD_PICKLE)};
    for (int i = 0; i < 2; i++) {
        for (size_t size = 0; size < whole[i].size; size++) {
            char message[1024];
            torch_file part = {malloc(size ? size : 1), size};
            memcpy(part.bytes, whole[i].bytes, size);
            read_only(&part, message);
            if (!*message)
                fail_msg("format %d passes with %zu of %zu bytes", i, size, whole[i].size);
            torch_file_done(&part);
        }
        torch_file_done(&whole[i]);
    }
}

/* Any one byte changed to anything: refused, or tensors that lie inside. */
static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    torch_file whole[] = {zipped(GOOD_PICKLE), legacy(GOOD_PICKLE)};
    for (int i = 0; i < 2; i++) {
        for (size_t at = 0; at < whole[i].size; at++)
            for (int change = 1; change < 256; change += 2) {
                char message[1024];
                whole[i].bytes[at] ^= (uint8_t)change;
                read_only(&whole[i], message);
                whole[i].bytes[at] ^= (uint8_t)change;
            }
        torch_file_done(&whole[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_formats_are_read),
        cmocka_unit_test(wrappers_are_unwrapped),
        cmocka_unit_test(hostile_pickles_are_refused_by_name),
        cmocka_unit_test(bare_pickles_are_refused_by_name),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(copies_are_bounded),
        cmocka_unit_test(odd_archives_are_refused),
        cmocka_unit_test(broken_archives_are_refused),
        cmocka_unit_test(truncation_is_refused_at_every_byte),
        cmocka_unit_test(changed_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
