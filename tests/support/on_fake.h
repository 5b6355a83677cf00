/* What tests of liboverpaint share: a handle on a fake broker, and a job. */
#ifndef TESTS_SUPPORT_ON_FAKE_H
#define TESTS_SUPPORT_ON_FAKE_H

#include "client/client.h"
#include "tests/support/fake_broker.h"

enum { ON_FAKE_WAIT_MS = 20000 };

extern const char *const on_fake_one_picture[], *const on_fake_two_pictures[]; /* for fake_result */

int on_fake_seen(fake_broker *f, Overpaint__Header__BodyCase body);
/* The broker receives exactly as many messages of this kind, soon. */
void on_fake_expect_seen(fake_broker *f, Overpaint__Header__BodyCase body, int count);
overpaint *on_fake_open(const fake_broker *f);
/* A txt2img job with prompt "a fox" and 4 steps. */
int on_fake_submit(overpaint *o, overpaint_id *id);
void on_fake_says(const char *text, const char *part);

#endif
