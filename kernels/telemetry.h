/* telemetry: what the system says of the hardware behind devices, read now and then by somebody
 * who may wait: one reading can take a tenth of a second, so never on the thread of an engine.
 *
 * Every value is known or not; what is not known is not given, and nothing here is an error. */
#ifndef KERNELS_TELEMETRY_H
#define KERNELS_TELEMETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Of the whole card or machine, whoever uses it. ECC errors: uncorrected ones since the driver was
 * loaded. Xid: the driver's numbers for errors of a GPU, counted since the reader was made. */
#define TELEMETRY_VALUES(F)                                                                        \
    F(memory_used_bytes)                                                                           \
    F(memory_total_bytes)                                                                          \
    F(utilisation_percent)                                                                         \
    F(temperature_celsius)                                                                         \
    F(power_milliwatts)                                                                            \
    F(ecc_errors)                                                                                  \
    F(xid_errors)                                                                                  \
    F(last_xid)

typedef struct {
#define TELEMETRY_FIELD(name)                                                                      \
    bool has_##name;                                                                               \
    uint64_t name;
    TELEMETRY_VALUES(TELEMETRY_FIELD)
#undef TELEMETRY_FIELD
} telemetry;

/* Gives a value; `t->has_NAME` says that it is known. */
#define TELEMETRY_GIVE(t, name, value) ((t)->has_##name = true, (t)->name = (value))

enum { TELEMETRY_DEVICES_MAX = 16, TELEMETRY_ID_BYTES = 48, TELEMETRY_WHY_BYTES = 256 };

/* How hardware is named, in dev.hardware too: the processors and memory of this machine, or a GPU
 * by its PCI bus id, "0000:3b:00.0". (Not by number: the management library counts other devices
 * than a process that sees only some of them.) "": nothing is known of it. */
#define TELEMETRY_MACHINE "machine"

typedef struct telemetry_reader telemetry_reader;

/* A reader for these devices; belongs to one thread at a time. GPUs are asked through `nvml`, the
 * name or path of NVIDIA's management library, which is loaded now; NULL or "": they are not.
 * `why` (TELEMETRY_WHY_BYTES) tells the first reason why nothing will be known of a GPU, or "".
 * NULL: no memory. */
telemetry_reader *telemetry_open(const char *const *hardware, int devices, const char *nvml,
                                 char *why);
void telemetry_read(telemetry_reader *r, telemetry *to); /* `to`: one for each device */
void telemetry_close(telemetry_reader **r);

#endif
