/* How a test that has loaded the stand-in for NVML rules it: see nvml.c. Found with dlsym. */
#ifndef TESTS_VENDOR_NVML_H
#define TESTS_VENDOR_NVML_H

/* From now on the setting has this value; NULL: what the environment says. */
void nvml_stand_in_set(const char *name, const char *value);

/* How often the library is initialised and not shut down, and how many event sets there are. */
int nvml_stand_in_held(void);

#endif
