/* Folders of pictures: what is found below one, whatever links are there, and the names of masks
 * and results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/command/folder.h"
#include "client/file.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { ROOM = 512 };

static char top[ROOM];

static const char *below(const char *name)
{
    static char path[4][ROOM];
    static int next;
    char *to = path[next++ % 4];
    snprintf(to, ROOM, "%.255s/%.255s", top, name);
    return to;
}

static int make_top(void **state)
{
    (void)state;
    strcpy(top, "/tmp/overpaint-folder-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
    char line[ROOM + 16];
    (void)state;
    snprintf(line, sizeof line, "rm -rf '%s'", top);
    return system(line);
}

static void put(const char *name)
{
    err e = {0};
    if (file_make_folders(below(name), &e) || file_write(below(name), "x", 1, &e))
        fail_msg("%s", e.text);
}

static void must_link(const char *to, const char *name)
{
    assert_int_equal(symlink(to, below(name)), 0);
}

static void must_find(const folder *f, const char *const *paths)
{
    for (size_t i = 0; i < f->count && paths[i]; i++)
        assert_string_equal(f->entry[i].path, paths[i]);
    assert_true(!paths[f->count]);
    size_t expected = 0;
    while (paths[expected])
        expected++;
    assert_int_equal(f->count, expected);
}

static void pictures_sorted_and_below(void **state)
{
    (void)state;
    static const char *const files[] = {
        "b.png",       "a.JPG",        "sub/c.webp",    "sub/deep/d.jpeg", "z.png",     "notes.txt",
        ".hidden.png", ".cache/e.png", "sub.png/f.png", "noending",        "x.png.bak", "g.gif"};
    static const char *const found[] = {
        "a.JPG", "b.png", "sub.png/f.png", "sub/c.webp", "sub/deep/d.jpeg", "z.png", NULL};
    folder f;
    err e = {0};
    for (size_t i = 0; i < COUNT(files); i++)
        put(files[i]);
    assert_int_equal(mkfifo(below("pipe.png"), 0600), 0); /* no file: left out */
    assert_int_equal(folder_read(&f, top, NULL, &e), 0);
    must_find(&f, found);
    for (size_t i = 0; i < f.count; i++)
        assert_null(f.entry[i].trouble);
    folder_done(&f);
    folder_done(&f);
}

static void links_that_go_round(void **state)
{
    (void)state;
    folder f;
    err e = {0};
    put("a.png");
    put("one/b.png");
    put("two/c.png");
    must_link(top, "one/up");            /* the top again */
    must_link(below("two"), "one/over"); /* and each other */
    must_link(below("one"), "two/over");
    must_link(".", "self");
    must_link("loop.png", "loop.png");
    must_link("nowhere", "broken.png");
    must_link("nowhere", "broken");
    must_link(below("a.png"), "again.png"); /* a picture under two names is two pictures */
    assert_int_equal(folder_read(&f, top, NULL, &e), 0);
    static const char *const found[] = {"a.png",     "again.png",      "broken.png", "loop.png",
                                        "one/b.png", "one/over/c.png", NULL};
    must_find(&f, found);
    for (size_t i = 0; i < f.count; i++) {
        const bool bad = i == 2 || i == 3;
        assert_true(bad == (f.entry[i].trouble != NULL));
    }
    folder_done(&f);
}

static void the_folder_of_results_is_left_out(void **state)
{
    (void)state;
    folder f;
    err e = {0};
    put("a.png");
    put("out/a.png");
    must_link("out", "other");
    assert_int_equal(folder_read(&f, top, below("out"), &e), 0);
    must_find(&f, (const char *const[]){"a.png", NULL});
    folder_done(&f);
    assert_int_equal(folder_read(&f, top, below("absent"), &e), 0);
    assert_int_equal(f.count, 2);
    folder_done(&f);
}

static void too_deep(void **state)
{
    (void)state;
    folder f;
    err e = {0};
    char path[ROOM] = "";
    for (int i = 0; i < FOLDER_DEPTH + 3; i++)
        strcat(path, "d/");
    strcat(path, "a.png");
    put(path);
    put("b.png");
    assert_int_equal(folder_read(&f, top, NULL, &e), 0);
    assert_int_equal(f.count, 2);
    assert_string_equal(f.entry[0].path, "b.png");
    assert_string_equal(f.entry[1].trouble, "too many folders in each other");
    folder_done(&f);
}

static void no_folder(void **state)
{
    (void)state;
    folder f;
    err e = {0};
    assert_int_equal(folder_read(&f, below("absent"), NULL, &e), ERR_IO);
    assert_non_null(strstr(e.text, "absent"));
    assert_int_equal(f.count, 0);
    put("file.png");
    e = (err){0};
    assert_int_equal(folder_read(&f, below("file.png"), NULL, &e), ERR_IO);
}

/* ---------------------------------------------------------------- names */

static void masks_by_stem(void **state)
{
    (void)state;
    folder_entry entry[] = {{(char *)"a.jpg", NULL},
                            {(char *)"a.png", NULL},
                            {(char *)"b.png", (char *)"unreadable"},
                            {(char *)"sub/a.webp", NULL},
                            {(char *)"sub/c.d.png", NULL}};
    const folder masks = {entry, COUNT(entry)};
    static const char *const rows[][2] = {
        {"a.webp", "a.jpg"},
        {"sub/a.png", "sub/a.webp"},
        {"sub/c.d.jpg", "sub/c.d.png"},
        {"b.png", NULL},
        {"c.png", NULL},
        {"sub/c.png", NULL},
        {"sub/sub/a.png", NULL},
        {"aa.png", NULL},
        {"elsewhere/c.d.png", "sub/c.d.png"}, /* the only one of that name */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *found = folder_match(&masks, rows[i][0]);
        if (rows[i][1])
            assert_string_equal(found, rows[i][1]);
        else
            assert_null(found);
    }
    const folder one = {entry + 1, 2}; /* and one that cannot be read */
    assert_string_equal(folder_match(&one, "whatever/x.png"), "a.png");
    const folder none = {entry + 2, 1};
    assert_null(folder_match(&none, "b.png"));
}

static void names_of_results(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"a.png", NULL, "out/a.png"},           {"sub/b.JPG", NULL, "out/sub/b.JPG"},
        {"sub/b.JPG", "jpeg", "out/sub/b.JPG"}, {"b.jpg", "png", "out/b.png"},
        {"c.d.png", "webp", "out/c.d.webp"},
    };
    char to[64];
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(folder_result(rows[i][0], "out", rows[i][1], to, sizeof to, NULL), 0);
        assert_string_equal(to, rows[i][2]);
    }
    assert_int_equal(folder_result("b/a.png", "out/", NULL, to, sizeof to, NULL), 0);
    assert_string_equal(to, "out/b/a.png");
    assert_int_equal(folder_result("a.png", "out", NULL, to, 9, NULL), ERR_INVALID);
    assert_int_equal(folder_result("a.png", "out", NULL, to, 10, NULL), 0);

    folder_entry entry[] = {
        {(char *)"a.jpg", NULL}, {(char *)"a.png", NULL}, {(char *)"b/a.png", NULL}};
    folder f = {entry, COUNT(entry)};
    err e = {0};
    assert_int_equal(folder_check(&f, "out", NULL, &e), 0);
    assert_int_equal(folder_check(&f, "out", "webp", &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "out/a.webp"));
    entry[0].trouble = (char *)"unreadable"; /* it has no result */
    e = (err){0};
    assert_int_equal(folder_check(&f, "out", "webp", &e), 0);
}

static void results_that_are_there(void **state)
{
    (void)state;
    assert_false(folder_has_result(below("a.png"), 1));
    assert_false(folder_has_result(below("a.png"), 2));
    put("a-1.png");
    assert_false(folder_has_result(below("a.png"), 1)); /* may be what a-1.png became */
    assert_true(folder_has_result(below("a.png"), 2));
    put("b.png");
    assert_true(folder_has_result(below("b.png"), 1));
    assert_false(folder_has_result(below("b.png"), 2));
    must_link("nowhere", "c.png");
    assert_true(folder_has_result(below("c.png"), 1));
}

static void a_new_file_replaces_nothing(void **state)
{
    (void)state;
    err e = {0};
    unsigned char *bytes;
    size_t size;
    put("a.png");
    assert_int_equal(file_create(below("a.png"), "new", 3, &e), ERR_CONFLICT);
    assert_int_equal(file_read(below("a.png"), 9, &bytes, &size, &e), 0);
    assert_string_equal((char *)bytes, "x");
    free(bytes);
    assert_int_equal(file_create(below("b.png"), "new", 3, &e), 0);
    assert_int_equal(file_read(below("b.png"), 9, &bytes, &size, &e), 0);
    assert_string_equal((char *)bytes, "new");
    free(bytes);
    e = (err){0};
    assert_int_equal(file_create(below("absent/b.png"), "new", 3, &e), ERR_IO);
    DIR *all = opendir(top);
    int names = 0;
    while (readdir(all))
        names++;
    closedir(all);
    assert_int_equal(names, 4); /* two files, "." and "..": nothing is left over */
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, make_top, remove_top)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(pictures_sorted_and_below),
        in_folder(links_that_go_round),
        in_folder(the_folder_of_results_is_left_out),
        in_folder(too_deep),
        in_folder(no_folder),
        cmocka_unit_test(masks_by_stem),
        cmocka_unit_test(names_of_results),
        in_folder(results_that_are_there),
        in_folder(a_new_file_replaces_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
