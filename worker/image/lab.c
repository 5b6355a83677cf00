/* sRGB to 8-bit LAB and back, in whole numbers (CIE 1976, white point D65).
 *
 * Fixed-point formats: XYZ relative to white with 12 fractional bits in the matrices; f, the cube
 * root with its straight piece, with 15 on the way there and 14 on the way back. */
#include "worker/image/lab.h"

#include <math.h>

enum {
    MATRIX_BITS = 12,
    ROOT_BITS = 15,
    BACK_BITS = 14,
    BACK = 1 << BACK_BITS,
    ROOT = 1 << ROOT_BITS,
};

static double to_linear(double v)
{
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double from_linear(double v)
{
    return v <= 0.0031308 ? v * 12.92 : 1.055 * pow(v, 1 / 2.4) - 0.055;
}

/* Rounded to float, as OpenCV's table is: two of its entries then fall on a half and go the other
 * way.
 */
static float root(double v)
{
    return (float)(v < 216.0 / 24389 ? v * 841 / 108 + 16.0 / 116 : cbrt(v));
}

void lab_init(lab *space)
{
    for (int i = 0; i < 256; i++) {
        space->linear[i] = (uint16_t)lrint(255 * 8 * to_linear(i / 255.0));
        double l = i * 100 / 255.0, f = (l + 16) / 116, y = f * f * f;
        if (l <= 8) {
            y = l / 903.3;
            f = 7.787 * y + 16.0 / 116;
        }
        space->light[i] = (int32_t)lrint(y * BACK);
        space->f_of[i] = (int32_t)lrint(f * BACK);
    }
    for (int i = 0; i < LAB_LINEAR; i++)
        space->root[i] = (uint16_t)lrint(ROOT * root(i / (255.0 * 8)));
    for (int i = 0; i < LAB_LIGHTS; i++)
        space->srgb[i] = (uint8_t)lrint(255 * from_linear((double)i / LAB_LIGHTS));
}

static int32_t rounded(int32_t v, int bits)
{
    return (v + (1 << (bits - 1))) >> bits;
}

static uint8_t byte(int32_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static int32_t weighted(const int32_t row[3], int32_t a, int32_t b, int32_t c)
{
    return row[0] * a + row[1] * b + row[2] * c;
}

void lab_from_rgb(const lab *space, uint8_t out[3], const uint8_t rgb[3])
{
    static const int32_t to_xyz[3][3] = {{1777, 1541, 778}, {871, 2929, 296}, {73, 448, 3575}};
    int32_t f[3];
    for (int i = 0; i < 3; i++)
        f[i] = space->root[rounded(weighted(to_xyz[i], space->linear[rgb[0]], space->linear[rgb[1]],
                                            space->linear[rgb[2]]),
                                   MATRIX_BITS)];
    /* 116 and 16 of 100 in bytes: 296 and 41; the latter keeps its fraction */
    int32_t scale = (116 * 255 + 50) / 100,
            black = (int32_t)((16 * 255 * (int64_t)ROOT + 50) / 100);
    out[0] = byte(rounded(scale * f[1] - black, ROOT_BITS));
    out[1] = byte(rounded(500 * (f[0] - f[1]) + 128 * ROOT, ROOT_BITS));
    out[2] = byte(rounded(200 * (f[1] - f[2]) + 128 * ROOT, ROOT_BITS));
}

/* f back to the linear light it belongs to. */
static int32_t cubed(int32_t f)
{
    if (f <= 3390) /* 6/29 */
        return f * 108 / 841 - BACK * 16 / 116 * 108 / 841;
    return (int32_t)((int64_t)f * f / BACK * f / BACK);
}

void lab_to_rgb(const lab *space, uint8_t rgb[3], const uint8_t in[3])
{
    static const int32_t to_srgb[3][3] = {
        {12615, -6296, -2223}, {-3773, 7684, 185}, {217, -836, 4715}};
    /* a / 500 and b / 200 by multiplication, to the last bit as the tables of others have it */
    int32_t a = ((5 * in[1] * 53687 + (1 << 7)) >> 13) - 128 * BACK / 500;
    int32_t b = ((in[2] * 41943 + (1 << 4)) >> 9) - 128 * BACK / 200 + 1;
    int32_t f = space->f_of[in[0]], x = cubed(f + a), z = cubed(f - b);
    for (int i = 0; i < 3; i++) {
        int32_t light = rounded(weighted(to_srgb[i], x, space->light[in[0]], z), BACK_BITS);
        rgb[i] = space->srgb[light < 0 ? 0 : light >= LAB_LIGHTS ? LAB_LIGHTS - 1 : light];
    }
}
