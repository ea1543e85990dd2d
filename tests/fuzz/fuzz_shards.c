/* Any bytes as model.safetensors.index.json, beside one.safetensors (tensor a) and two.safetensors (b, c). */
#include "weight_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_shard(const char *name, const char *header, size_t n_data)
{
    char whole[300] = {0};
    const uint64_t length = strlen(header);
    memcpy(whole, &length, 8);
    memcpy(whole + 8, header, length);
    input_write(name, whole, 8 + length + n_data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (input_dir[0] == '\0') {
        input_start();
        write_shard("one.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
        write_shard("two.safetensors",
                    "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                    "\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
                    3);
    }
    input_write("model.safetensors.index.json", data, size);
    input_open(input_dir);
    return 0;
}
