/* Any bytes as model.safetensors. Bytes that start with '{' are a header alone: its length is put
 * before it and 64 bytes of data behind it, so that the fuzzer need not find out about the length. */
#include "weight_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_start();
    if (size > 0 && data[0] == '{') {
        const uint64_t length = size;
        char *whole = calloc(8 + size + 64, 1);
        if (whole == NULL)
            return 0;
        memcpy(whole, &length, 8);
        memcpy(whole + 8, data, size);
        input_write("model.safetensors", whole, 8 + size + 64);
        free(whole);
    } else {
        input_write("model.safetensors", data, size);
    }
    input_open(input_dir);
    return 0;
}
