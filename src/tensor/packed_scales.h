/* The packed scales of Q4_K and Q5_K: private to the room. */
#ifndef EH_TENSOR_PACKED_SCALES_H
#define EH_TENSOR_PACKED_SCALES_H

#include <stdint.h>

/* Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima into 12 bytes: those of sub-blocks
 * 0..3 in the low bits of bytes 0..3 and 4..7, those of 4..7 in the nibbles of bytes 8..11 with
 * their two upper bits on top of bytes 0..3 and 4..7. */
static inline void scales_k(const uint8_t *restrict s, float d, float dmin, float scale[restrict 8],
                            float low[restrict 8])
{
    for (int j = 0; j < 4; j++) {
        scale[j] = d * (float)(s[j] & 63);
        low[j] = dmin * (float)(s[j + 4] & 63);
        scale[j + 4] = d * (float)((s[j + 8] & 15) | s[j] >> 6 << 4);
        low[j + 4] = dmin * (float)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

#endif
