/* NVENC for a process that finds this library under the name libnvidia-encode.so.1, beside `fake_gpu.c`: version 13 of
 * its interface, as far as FFmpeg calls it for H.264.
 *
 * What it writes is H.264, though not compressed: each picture is an IDR picture whose macroblocks hold their samples,
 * so that it can be told exactly what was encoded. Each adds an "e" to the file $FAKE_GPU/used; the settings that were
 * asked for are in the file $FAKE_GPU/settings.
 *
 * FAKE_GPU_FAILS may also say "old" (a driver of the version before), "session" (a GPU without NVENC), "initialize",
 * "encode 7" (from that picture on) and "dark" (it encodes other pictures than those it is given).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NO_ENCODER = 1, INVALID_PARAM = 8, NEED_INPUT = 17, GENERIC = 20, END_OF_STREAM = 8, YV12 = 0x10 };
enum { MIN_WIDTH = 145, MIN_HEIGHT = 49, MAX_SIZE = 4096 };

int fails(const char *what);
int fails_from(const char *what, int number);
void note(char used);

struct identifier {
    uint32_t first;
    uint16_t second, third;
    uint8_t rest[8];
};

static const struct identifier H264 = {0x6bc82762, 0x4e63, 0x4ca4, {0xaa, 0x85, 0x1e, 0x50, 0xf3, 0x21, 0xf6, 0xbf}};

struct session {
    uint32_t width, height;
    int encoded;
};

struct buffer { /* for input and for output */
    uint32_t width, height, size, time_set;
    uint64_t time;
    unsigned char *bytes;
};

/* Writing H.264 */

struct bits {
    unsigned char *bytes;
    size_t count;
};

static void put(struct bits *bits, uint32_t value, int count) {
    while (count--) {
        unsigned char *byte = bits->bytes + bits->count / 8;
        if (bits->count % 8 == 0)
            *byte = 0;
        *byte |= (value >> count & 1) << (7 - bits->count % 8);
        bits->count++;
    }
}

static void put_golomb(struct bits *bits, uint32_t value) {
    int length = 0;
    while ((value + 1) >> (length + 1))
        length++;
    put(bits, 0, length);
    put(bits, value + 1, length + 1);
}

static void align(struct bits *bits) {
    while (bits->count % 8)
        put(bits, 0, 1);
}

/* The unit with its start code; a zero byte pair is kept from looking like one. Returns its size. */
static uint32_t put_unit(unsigned char *target, unsigned char header, struct bits *bits) {
    put(bits, 1, 1);
    align(bits);
    unsigned char *end = target;
    memcpy(end, "\0\0\0\1", 4);
    end += 4;
    *end++ = header;
    int zeros = 0;
    for (size_t index = 0; index < bits->count / 8; index++) {
        unsigned char byte = bits->bytes[index];
        if (zeros == 2 && byte <= 3) {
            *end++ = 3;
            zeros = 0;
        }
        zeros = byte ? 0 : zeros + 1;
        *end++ = byte;
    }
    return end - target;
}

static uint32_t put_parameter_sets(struct session *session, unsigned char *target) {
    unsigned char memory[64];
    struct bits bits = {memory, 0};
    put(&bits, 66, 8); /* baseline profile */
    put(&bits, 0, 8);
    put(&bits, 51, 8); /* level 5.1 */
    put_golomb(&bits, 0);
    put_golomb(&bits, 0); /* 4 bits of frame number */
    put_golomb(&bits, 2); /* pictures are shown as they are coded */
    put_golomb(&bits, 1);
    put(&bits, 0, 1);
    uint32_t columns = (session->width + 15) / 16, rows = (session->height + 15) / 16;
    put_golomb(&bits, columns - 1);
    put_golomb(&bits, rows - 1);
    put(&bits, 1, 1); /* frames, not fields */
    put(&bits, 1, 1);
    put(&bits, 1, 1); /* cropped */
    put_golomb(&bits, 0);
    put_golomb(&bits, (16 * columns - session->width) / 2);
    put_golomb(&bits, 0);
    put_golomb(&bits, (16 * rows - session->height) / 2);
    put(&bits, 0, 1);
    uint32_t size = put_unit(target, 0x67, &bits);
    bits.count = 0;
    put_golomb(&bits, 0);
    put_golomb(&bits, 0);
    put(&bits, 0, 2);
    put_golomb(&bits, 0);
    put_golomb(&bits, 0);
    put_golomb(&bits, 0);
    put(&bits, 0, 3);
    put_golomb(&bits, 0);
    put_golomb(&bits, 0);
    put_golomb(&bits, 0);
    put(&bits, 0, 3);
    return size + put_unit(target + size, 0x68, &bits);
}

static void put_block(struct bits *bits, const unsigned char *plane, uint32_t pitch, uint32_t width, uint32_t height,
                      uint32_t left, uint32_t top, uint32_t size) {
    for (uint32_t y = top; y < top + size; y++)
        for (uint32_t x = left; x < left + size; x++) {
            unsigned char sample = plane[(y < height ? y : height - 1) * pitch + (x < width ? x : width - 1)];
            put(bits, fails("dark") ? sample / 4 : sample, 8);
        }
}

static uint32_t put_picture(struct session *session, const struct buffer *input, unsigned char *target) {
    uint32_t width = session->width, height = session->height;
    const unsigned char *red = input->bytes + width * height, *blue = red + width * height / 4;
    struct bits bits = {malloc(2 * width * height + 65536), 0};
    put_golomb(&bits, 0);
    put_golomb(&bits, 7); /* intra */
    put_golomb(&bits, 0);
    put(&bits, 0, 4);
    put_golomb(&bits, session->encoded % 2);
    put(&bits, 0, 2);
    put_golomb(&bits, 0);
    for (uint32_t top = 0; top < height; top += 16)
        for (uint32_t left = 0; left < width; left += 16) {
            put_golomb(&bits, 25); /* a macroblock of samples */
            align(&bits);
            put_block(&bits, input->bytes, width, width, height, left, top, 16);
            put_block(&bits, blue, width / 2, width / 2, height / 2, left / 2, top / 2, 8);
            put_block(&bits, red, width / 2, width / 2, height / 2, left / 2, top / 2, 8);
        }
    uint32_t size = put_unit(target, 0x65, &bits);
    free(bits.bytes);
    return size;
}

/* The interface; structures as far as they are used, reserved parts left out at their ends */

static int open_session(void *parameters, struct session **session) {
    *session = calloc(1, sizeof **session);
    return fails("session") ? NO_ENCODER : SUCCESS;
}

static int count_codecs(struct session *session, uint32_t *count) { return *count = 1, SUCCESS; }

static int list_codecs(struct session *session, struct identifier *codecs, uint32_t size, uint32_t *count) {
    return codecs[0] = H264, *count = 1, SUCCESS;
}

struct capability {
    uint32_t version, wanted;
};

static int get_capability(struct session *session, struct identifier codec, struct capability *capability, int *value) {
    enum { WIDTH_MAX = 16, HEIGHT_MAX = 17 };
    *value = capability->wanted == WIDTH_MAX || capability->wanted == HEIGHT_MAX ? MAX_SIZE : 1;
    return SUCCESS;
}

struct config {
    uint32_t version;
    struct identifier profile;
    uint32_t key_frame_distance;
    int32_t p_frame_distance;
    uint32_t monochrome, fields, motion_precision;
    uint32_t rate_version, rate_control, p_quantiser, b_quantiser, i_quantiser, average_rate, highest_rate;
};

/* As presets do, it wants B frames. */
static int get_preset(struct session *session, struct identifier codec, struct identifier preset, int tuning,
                      uint32_t *wanted) {
    struct config *config = (struct config *)(wanted + (wanted[1] ? 1 : 2)); /* it begins with its version */
    config->key_frame_distance = 250;
    config->p_frame_distance = 3;
    return SUCCESS;
}

struct initialization {
    uint32_t version;
    struct identifier codec, preset;
    uint32_t width, height, aspect_width, aspect_height, rate_numerator, rate_denominator;
    uint32_t asynchronous, decides_types, flags, private_size;
    void *private_data;
    struct config *config;
};

static int initialize(struct session *session, struct initialization *wanted) {
    if (fails("initialize") || wanted->width < MIN_WIDTH || wanted->height < MIN_HEIGHT)
        return INVALID_PARAM;
    session->width = wanted->width;
    session->height = wanted->height;
    char path[4096];
    snprintf(path, sizeof path, "%s/settings", getenv("FAKE_GPU"));
    FILE *file = fopen(path, "w");
    struct config *config = wanted->config;
    fprintf(file, "rate control %u, quantisers %u %u %u, P every %d, fps %u/%u, aspect %u:%u", config->rate_control,
            config->i_quantiser, config->p_quantiser, config->b_quantiser, config->p_frame_distance,
            wanted->rate_numerator, wanted->rate_denominator, wanted->aspect_width, wanted->aspect_height);
    fclose(file);
    return SUCCESS;
}

struct input_creation {
    uint32_t version, width, height, heap, format, reserved;
    struct buffer *created;
};

static int create_input(struct session *session, struct input_creation *creation) {
    if (creation->format != YV12)
        return INVALID_PARAM;
    creation->created = calloc(1, sizeof *creation->created);
    creation->created->bytes = malloc(creation->width * creation->height * 3 / 2);
    return SUCCESS;
}

struct output_creation {
    uint32_t version, size, heap, reserved;
    struct buffer *created;
};

static int create_output(struct session *session, struct output_creation *creation) {
    creation->created = calloc(1, sizeof *creation->created);
    creation->created->bytes = malloc(3 * session->width * session->height + 65536);
    return SUCCESS;
}

static int destroy_buffer(struct session *session, struct buffer *buffer) {
    free(buffer->bytes);
    free(buffer);
    return SUCCESS;
}

struct input_lock {
    uint32_t version, flags;
    struct buffer *buffer;
    void *bytes;
    uint32_t pitch;
};

static int lock_input(struct session *session, struct input_lock *lock) {
    lock->bytes = lock->buffer->bytes;
    lock->pitch = session->width;
    return SUCCESS;
}

static int unlock(struct session *session, struct buffer *buffer) { return SUCCESS; }

struct task {
    uint32_t version, width, height, pitch, flags, number;
    uint64_t time, duration;
    struct buffer *input, *output;
};

static int encode(struct session *session, struct task *task) {
    if (task->flags & END_OF_STREAM)
        return SUCCESS;
    if (fails_from("encode", session->encoded))
        return GENERIC;
    task->output->size = put_picture(session, task->input, task->output->bytes);
    task->output->time = task->time;
    session->encoded++;
    note('e');
    return SUCCESS;
}

struct output_lock {
    uint32_t version, flags;
    struct buffer *buffer;
    uint32_t *slices;
    uint32_t number, status, slice_count, size;
    uint64_t time, duration;
    void *bytes;
    int picture_type;
};

static int lock_output(struct session *session, struct output_lock *lock) {
    enum { IDR = 3 };
    lock->size = lock->buffer->size;
    lock->time = lock->buffer->time;
    lock->bytes = lock->buffer->bytes;
    lock->picture_type = IDR;
    return SUCCESS;
}

struct parameter_sets {
    uint32_t version, capacity, sequence, picture;
    unsigned char *bytes;
    uint32_t *size;
};

static int get_parameter_sets(struct session *session, struct parameter_sets *sets) {
    return *sets->size = put_parameter_sets(session, sets->bytes), SUCCESS;
}

static int set_streams(struct session *session, void *input, void *output) { return SUCCESS; }

static int destroy_session(struct session *session) { return free(session), SUCCESS; }

static const char *last_error(struct session *session) { return "a fake error"; }

int NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) { return *version = (fails("old") ? 12 : 13) << 4, SUCCESS; }

struct functions {
    uint32_t version, reserved;
    void *all[64];
};

int NvEncodeAPICreateInstance(struct functions *functions) {
    void **all = functions->all;
    all[1] = count_codecs;
    all[4] = list_codecs;
    all[7] = get_capability;
    all[11] = initialize;
    all[12] = create_input;
    all[13] = destroy_buffer;
    all[14] = create_output;
    all[15] = destroy_buffer;
    all[16] = encode;
    all[17] = lock_output;
    all[18] = unlock;
    all[19] = lock_input;
    all[20] = unlock;
    all[22] = get_parameter_sets;
    all[27] = destroy_session;
    all[29] = open_session;
    all[37] = last_error;
    all[38] = set_streams;
    all[39] = get_preset;
    return SUCCESS;
}
