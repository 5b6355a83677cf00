/* attention, reference: one query at a time; its scores are the only scratch. */
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

/* One query of one head against `keys` keys; rows of k and v are `stride` floats apart. */
static void attend(float *out, const float *q, const float *k, const float *v, int64_t keys,
                   int64_t head, int64_t stride, double *score, double *sum)
{
    double scale = 1 / sqrt((double)head), most = -INFINITY, total = 0;
    for (int64_t j = 0; j < keys; j++) {
        score[j] = ref_dot(q, k + j * stride, head) * scale;
        most = fmax(most, score[j]);
    }
    memset(sum, 0, (size_t)head * sizeof *sum);
    for (int64_t j = 0; j < keys; j++) {
        double p = exp(score[j] - most);
        total += p;
        for (int64_t i = 0; i < head; i++)
            sum[i] += p * v[j * stride + i];
    }
    for (int64_t i = 0; i < head; i++)
        out[i] = (float)(sum[i] / total);
}

void ref_attention(dev *d, const attention_args *a)
{
    int64_t n = a->q.dim[0], tq = a->q.dim[2], tk = a->k.dim[2], head = a->head;
    int64_t c = a->heads * head, width = a->q.dim[3], stride = a->k.dim[3];
    size_t mark = dev_mark(d);
    double *score = dev_scratch(d, (size_t)(tk + head) * sizeof *score);
    for (int64_t i = 0; i < n && score; i++) {
        int64_t keys = a->keys ? a->keys[i] : tk;
        const float *q = tensor_sample(a->q, i).data;
        const float *k = (const float *)tensor_sample(a->k, i).data + a->k_at;
        const float *v = (const float *)tensor_sample(a->v, i).data + a->v_at;
        float *out = tensor_sample(a->out, i).data;
        for (int64_t t = 0; t < tq; t++) {
            int64_t seen = a->causal && t + 1 < keys ? t + 1 : keys;
            for (int64_t at = 0; at < c; at += head)
                attend(out + t * c + at, q + t * width + at, k + at, v + at, seen, head, stride,
                       score, score + tk);
        }
    }
    dev_release(d, mark);
}
