/* What tests of liboverpaint share: a handle on a fake broker, and a job. */
#ifndef TESTS_SUPPORT_CLIENT_RIG_H
#define TESTS_SUPPORT_CLIENT_RIG_H

#include "client/client.h"
#include "tests/support/fake_broker.h"

enum { RIG_WAIT_MS = 20000 };

extern const char *const rig_one_picture[], *const rig_two_pictures[]; /* for fake_result */

int rig_seen(fake_broker *f, Overpaint__Header__BodyCase body);
/* The broker receives exactly as many messages of this kind, soon. */
void rig_expect_seen(fake_broker *f, Overpaint__Header__BodyCase body, int count);
overpaint *rig_open(const fake_broker *f);
/* A txt2img job with prompt "a fox" and 4 steps. */
int rig_submit(overpaint *o, overpaint_id *id);
void rig_says(const char *text, const char *part);

#endif
