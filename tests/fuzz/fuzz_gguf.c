/* Any bytes as a file that might be GGUF. */
#include "weight_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[200];
    input_start();
    input_write("m.gguf", data, size);
    input_path(path, "m.gguf");
    input_open(path);
    return 0;
}
