/* table: the kernel list as one function table per backend. A kernel that a backend does not have
 * is the reference's. */
#include "kernels/table.h"

#define PICK_HAVE(name)      cpu_##name
#define PICK_FALL(name)      ref_##name
#define REF_ENTRY(name, cpu) .name = ref_##name,
#define CPU_ENTRY(name, cpu) .name = PICK_##cpu(name),

const kernel_table kernel_table_ref = {KERNELS(REF_ENTRY)};
const kernel_table kernel_table_cpu = {KERNELS(CPU_ENTRY)};
