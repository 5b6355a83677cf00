/* table: the kernel list as one function table per backend. A kernel that a backend does not have
 * is the reference's. */
#include "kernels/table.h"

#define PICK_HAVE(name)            cpu_##name
#define PICK_FALL(name)            ref_##name
#define REF_ENTRY(name, cpu, cuda) .name = ref_##name,
#define CPU_ENTRY(name, cpu, cuda) .name = PICK_##cpu(name),

static const kernel_table ref_table = {KERNELS(REF_ENTRY)};
static const kernel_table cpu_table = {KERNELS(CPU_ENTRY)};

const kernel_table *kernel_table_ref(void)
{
    return &ref_table;
}

const kernel_table *kernel_table_cpu(void)
{
    return &cpu_table;
}
