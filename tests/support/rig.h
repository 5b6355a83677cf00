/* A device with a fixture model on it, for the tests of networks. */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include "worker/model/model.h"

typedef struct {
    dev *d;
    model *m;
} rig;

/* The fixture model `arch` on a device with these options; ends the program when that fails. */
rig rig_open(const char *arch, dev_options options);
void rig_close(rig *r);

/* Ends the program with the device's message if it has one. */
void rig_check(const rig *r);

/* A scratch feature map with these values (NHWC); NULL: without values, for dry devices. */
tensor rig_tensor(rig *r, const float *values, int64_t n, int64_t h, int64_t w, int64_t c);
/* The values of a tensor of any float type, malloc'ed; fails as rig_check does. */
float *rig_values(rig *r, tensor t);

/* "cpu" or "cuda:1" into options; false: there is no such backend, or what follows is no number. */
bool rig_device(const char *text, dev_options *options);

/* "1,2,4" into numbers from least to most, at most `room` of them. 0: it is not such a list. */
int rig_numbers(const char *text, int64_t *number, int room, int64_t least, int64_t most);

/* The backends that a result is compared on, NULL-ended: ref and cpu, or the one that
 * OVERPAINT_BACKEND names. */
const char *const *rig_backends(void);
/* How far from the golden data a network may be there: `fp32`, or what storage in fp16 costs. */
double rig_tolerance(const rig *r, double fp32);

/* The small models; NULL-ended. */
extern const char *const rig_archs[];

#endif
