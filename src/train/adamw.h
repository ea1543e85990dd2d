/*
 * AdamW: one step on one piece of weights.
 *
 *     const eh_adamw options = EH_ADAMW_DEFAULT;
 *     eh_adamw_step(&options, 1, options.lr, 1.0, n, w, g, m, v);       m and v start at 0, steps at 1
 *
 * Each weight by itself, in f32: the same bits wherever the pieces are cut and whoever computes them.
 *
 * Source   Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2; the order of the
 *          operations is PyTorch's (torch.optim.AdamW).
 */
#ifndef EH_TRAIN_ADAMW_H
#define EH_TRAIN_ADAMW_H

#include <stdint.h>

typedef struct eh_adamw {
    double lr; /* learning rate */
    double beta1, beta2, eps, decay;
} eh_adamw;

#define EH_ADAMW_DEFAULT ((eh_adamw){.lr = 2e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.0})

/* w, g, m, v [n]; step counts from 1; the gradient is g times `scale` (clipping). lr is this step's. */
void eh_adamw_step(const eh_adamw *options, int64_t step, double lr, double scale, int64_t n, float *restrict w,
                   const float *restrict g, float *restrict m, float *restrict v);

#endif
