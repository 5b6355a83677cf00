/* The machine itself: see machine.h. The one idea: two small files of the kernel, and no number
 * from a line that is not exactly as expected. */
#include "kernels/machine.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4096, KIBIBYTE = 1024 };

/* The beginning of a file, as much as is read at once; "" when there is none. */
static void read_text(const char *path, char text[TEXT_BYTES])
{
    FILE *f = fopen(path, "re");
    size_t size = f ? fread(text, 1, TEXT_BYTES - 1, f) : 0;
    text[size] = 0;
    if (f)
        fclose(f);
}

/* "Name:   123 kB" at the start of a line, in bytes. */
static bool find_kibibytes(const char *text, const char *name, uint64_t *bytes)
{
    const size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        char number[16], unit[3];
        line += *line == '\n';
        if (strncmp(line, name, length))
            continue;
        if (sscanf(line + length, ":%*[ ]%15[0-9] %2s", number, unit) != 2 ||
            strcmp(unit, "kB") != 0)
            return false;
        *bytes = strtoull(number, NULL, 10) * KIBIBYTE;
        return true;
    }
    return false;
}

void machine_memory(const char *text, telemetry *to)
{
    uint64_t total, available;
    if (!find_kibibytes(text, "MemTotal", &total))
        return;
    TELEMETRY_GIVE(to, memory_total_bytes, total);
    if (find_kibibytes(text, "MemAvailable", &available) && available <= total)
        TELEMETRY_GIVE(to, memory_used_bytes, total - available);
}

bool machine_load(const char *text, machine_ticks *to)
{
    enum { USER, NICE, SYSTEM, IDLE, WAITING, INTERRUPTS, SOFT_INTERRUPTS, STOLEN, KINDS };
    *to = (machine_ticks){0};
    if (strncmp(text, "cpu ", 4) != 0)
        return false;
    text += 4;
    for (int i = 0; i < KINDS; i++) {
        char *end;
        text += strspn(text, " ");
        const uint64_t spent = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || spent > UINT64_MAX / KINDS)
            return false;
        to->all += spent;
        to->busy += i == IDLE || i == WAITING ? 0 : spent;
        text = end;
    }
    return true;
}

/* Time spent waiting can be counted back, so the difference may make no sense: then there is none.
 */
static void give_load(const machine_ticks *before, const machine_ticks *now, telemetry *to)
{
    const uint64_t all = now->all - before->all, busy = now->busy - before->busy;
    if (now->all > before->all && now->busy >= before->busy && busy <= all)
        TELEMETRY_GIVE(to, utilisation_percent, (busy * 100 + all / 2) / all);
}

void machine_read(machine *m, telemetry *to)
{
    char text[TEXT_BYTES];
    machine_ticks now;
    read_text("/proc/meminfo", text);
    machine_memory(text, to);
    read_text("/proc/stat", text);
    const bool has_now = machine_load(text, &now);
    if (has_now && m->has_before)
        give_load(&m->before, &now, to);
    m->before = now;
    m->has_before = has_now;
}
