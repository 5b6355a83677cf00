/* Shared by tests of liboverpaint: see on_fake.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/on_fake.h"

const char *const on_fake_one_picture[] = {"picture one", NULL};
const char *const on_fake_two_pictures[] = {"picture one", "picture two", NULL};

int on_fake_seen(fake_broker *f, Overpaint__Header__BodyCase body)
{
    return atomic_load(&f->seen[body]);
}

void on_fake_expect_seen(fake_broker *f, Overpaint__Header__BodyCase body, int count)
{
    for (int i = 0; i < ON_FAKE_WAIT_MS && on_fake_seen(f, body) < count; i++)
        usleep(1000);
    assert_int_equal(on_fake_seen(f, body), count);
}

overpaint *on_fake_open(const fake_broker *f)
{
    overpaint *o = overpaint_open(f->endpoint, "test");
    assert_string_equal(overpaint_error(o), "");
    return o;
}

int on_fake_submit(overpaint *o, overpaint_id *id)
{
    overpaint_job *j = overpaint_job_new("txt2img");
    assert_int_equal(overpaint_job_set(j, "prompt", "a fox"), 0);
    assert_int_equal(overpaint_job_set(j, "steps", "4"), 0);
    int rc = overpaint_submit(o, j, id);
    overpaint_job_free(&j);
    return rc;
}

void on_fake_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}
