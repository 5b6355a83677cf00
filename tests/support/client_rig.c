/* Shared by tests of liboverpaint: see client_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/client_rig.h"

const char *const rig_one_picture[] = {"picture one", NULL};
const char *const rig_two_pictures[] = {"picture one", "picture two", NULL};

int rig_seen(fake_broker *f, Overpaint__Header__BodyCase body)
{
    return atomic_load(&f->seen[body]);
}

void rig_expect_seen(fake_broker *f, Overpaint__Header__BodyCase body, int count)
{
    for (int i = 0; i < 2000 && rig_seen(f, body) < count; i++)
        usleep(1000);
    assert_int_equal(rig_seen(f, body), count);
}

overpaint *rig_open(const fake_broker *f)
{
    overpaint *o = overpaint_open(f->endpoint, "test");
    assert_string_equal(overpaint_error(o), "");
    return o;
}

int rig_submit(overpaint *o, overpaint_id *id)
{
    overpaint_job *j = overpaint_job_new("txt2img");
    assert_int_equal(overpaint_job_set(j, "prompt", "a fox"), 0);
    assert_int_equal(overpaint_job_set(j, "steps", "4"), 0);
    int rc = overpaint_submit(o, j, id);
    overpaint_job_free(&j);
    return rc;
}

void rig_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}
