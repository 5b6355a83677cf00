/* worker/model/hash and sha256: vectors of FIPS 180-4, and a cache that may be wrong but never
 * believed when it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/model/checkpoint.h"
#include "worker/model/sha256.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define ABC         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define FALSE_HASH  "0000000000000000000000000000000000000000000000000000000000000000"

enum { PATH_MOST = 256 };

static void published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
        int times;
    } table[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 1},
        {"abc", ABC, 1},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", 1},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
         "lmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1", 1},
        {"a", "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", 1000000},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char hex[65];
        sha256 s;
        sha256_init(&s);
        for (int k = 0; k < table[i].times; k++)
            sha256_add(&s, table[i].text, strlen(table[i].text));
        sha256_hex(&s, hex);
        assert_string_equal(hex, table[i].hex);
    }
}

/* However a message is cut, around every block border. */
static void any_cut(void **state)
{
    (void)state;
    char text[200], whole[65], parts[65];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t size = 0; size < sizeof text; size++) {
        sha256 s;
        sha256_init(&s);
        sha256_add(&s, text, size);
        sha256_hex(&s, whole);
        for (size_t cut = 0; cut <= size; cut++) {
            sha256_init(&s);
            sha256_add(&s, text, cut);
            sha256_add(&s, text + cut, size - cut);
            sha256_hex(&s, parts);
            assert_string_equal(parts, whole);
        }
    }
}

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* The only file of the cache. */
static void cache_file(char path[PATH_MOST], const char *cache)
{
    DIR *d = opendir(cache);
    int files = 0;
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        assert_true(snprintf(path, PATH_MOST, "%s/%s", cache, entry->d_name) < PATH_MOST);
        files++;
    }
    closedir(d);
    assert_int_equal(files, 1);
}

static void check_hash(const char *path, const char *cache, const char *expected)
{
    err e = {0};
    char hex[65];
    if (checkpoint_hash(path, cache, hex, NULL, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(hex, expected);
}

/* The cached text with another hash at its end. */
static void forge(const char *kept, const char *hash)
{
    char text[1024] = "";
    FILE *in = fopen(kept, "r");
    assert_non_null(in);
    size_t size = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    assert_true(size > 65);
    assert_int_equal(strlen(hash), 64);
    memcpy(text + size - 65, hash, 64);
    put(kept, text);
}

static void cached_by_path_size_and_time(void **state)
{
    char path[PATH_MOST], cache[PATH_MOST], kept[PATH_MOST];
    struct stat s;
    snprintf(path, sizeof path, "%s/file", (const char *)*state);
    snprintf(cache, sizeof cache, "%s/cache", (const char *)*state);
    put(path, "abc");
    check_hash(path, cache, ABC);
    cache_file(kept, cache);
    assert_int_equal(stat(kept, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    /* A forged hash shows that the second answer comes from the cache… */
    forge(kept, FALSE_HASH);
    check_hash(path, cache, FALSE_HASH);
    check_hash(path, NULL, ABC);
    /* …and that a nanosecond makes it worthless. */
    assert_int_equal(stat(path, &s), 0);
    s.st_mtim.tv_nsec ^= 1;
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){s.st_mtim, s.st_mtim}, 0), 0);
    check_hash(path, cache, ABC);
    cache_file(kept, cache);
    /* Another size at the same time, too. */
    forge(kept, FALSE_HASH);
    put(path, "");
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){s.st_mtim, s.st_mtim}, 0), 0);
    check_hash(path, cache, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    put(path, "abc");
    /* What is not a record is not believed. */
    static const char *const broken[] = {"", "abc\n", "\n\n\n\n", FALSE_HASH "\n"};
    for (size_t i = 0; i < COUNT(broken); i++) {
        put(kept, broken[i]);
        check_hash(path, cache, ABC);
    }
    static const char *const no_hash[] = {
        "X000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000\n"};
    for (size_t i = 0; i < COUNT(no_hash); i++) {
        forge(kept, no_hash[i]);
        check_hash(path, cache, ABC);
    }
    /* A cache that cannot be is no reason to fail. */
    check_hash(path, "/nowhere/cache", ABC);
    check_hash(path, path, ABC);
    unlink(kept);
    rmdir(cache);
    unlink(path);
}

static void folder_by_its_network(void **state)
{
    char folder[PATH_MOST], unet[PATH_MOST + 8], file[PATH_MOST + 64];
    char hex[65];
    err e = {0};
    snprintf(folder, sizeof folder, "%s/folder", (const char *)*state);
    snprintf(unet, sizeof unet, "%s/unet", folder);
    snprintf(file, sizeof file, "%s/diffusion_pytorch_model.safetensors", unet);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(checkpoint_hash(folder, NULL, hex, NULL, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "there is no unet/diffusion_pytorch_model.safetensors"));
    assert_int_equal(mkdir(unet, 0700), 0);
    put(file, "abc");
    check_hash(folder, NULL, ABC);
    unlink(file);
    rmdir(unet);
    rmdir(folder);
}

static void refusals(void **state)
{
    char hex[65], path[PATH_MOST];
    err e = {0};
    atomic_bool stop = true;
    assert_int_equal(checkpoint_hash("/nowhere", NULL, hex, NULL, &e), ERR_NOT_FOUND);
    e = (err){0};
    assert_int_equal(checkpoint_hash("/dev/zero", NULL, hex, NULL, &e), ERR_INVALID);
    e = (err){0};
    snprintf(path, sizeof path, "%s/file", (const char *)*state);
    put(path, "abc");
    assert_int_equal(checkpoint_hash(path, NULL, hex, &stop, &e), ERR_CANCELLED);
    stop = false;
    assert_int_equal(checkpoint_hash(path, NULL, hex, &stop, NULL), 0);
    assert_string_equal(hex, ABC);
    unlink(path);
}

static int make_folder(void **state)
{
    static char folder[] = "/tmp/test_hash.XXXXXX";
    *state = mkdtemp(folder);
    return *state ? 0 : -1;
}

static int drop_folder(void **state)
{
    return rmdir(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(any_cut),
        cmocka_unit_test(cached_by_path_size_and_time),
        cmocka_unit_test(folder_by_its_network),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
