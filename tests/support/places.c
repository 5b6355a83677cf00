/* Where the data of the tests lies: see places.h. */
#include "tests/support/places.h"

#include <stdlib.h>

const char *place_golden(void)
{
    const char *other = getenv("OVERPAINT_GOLDEN");
    return other ? other : GOLDEN_DIR;
}

const char *place_models(void)
{
    const char *other = getenv("OVERPAINT_MODELS");
    return other ? other : MODELS_DIR;
}
