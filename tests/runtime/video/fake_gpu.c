/* An NVIDIA driver for a process that finds this library under the names libcuda.so.1 and libnvcuvid.so.1: as much of
 * CUDA and NVDEC as FFmpeg's decoders call. Device memory is host memory.
 *
 * It does not decode. A picture's compressed slices are looked up: the file $FAKE_GPU/<CRC-32 of the slices> has the
 * picture that they mean. Each picture decoded adds a "d" to the file $FAKE_GPU/used.
 *
 * The environment variable FAKE_GPU_FAILS names what does not work: "device", "caps", "create", "picture 7" or "map 7"
 * from that picture on, counting from 0; with "rubbish" the pictures are others than those that were asked for.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_DEVICE = 100, NOT_SUPPORTED = 801, DEVICE_MEMORY = 2 };
enum { SURFACES = 40, PITCH = 512 };

typedef unsigned long long pointer; /* into device memory */

int fails(const char *what) {
    const char *wanted = getenv("FAKE_GPU_FAILS");
    return wanted && !strcmp(wanted, what);
}

int fails_from(const char *what, int number) {
    const char *wanted = getenv("FAKE_GPU_FAILS");
    size_t length = strlen(what);
    return wanted && !strncmp(wanted, what, length) && wanted[length] == ' ' && number >= atoi(wanted + length);
}

void note(char used) {
    char path[4096];
    snprintf(path, sizeof path, "%s/used", getenv("FAKE_GPU"));
    FILE *file = fopen(path, "a");
    fputc(used, file);
    fclose(file);
}

/* CUDA */

static int context;

int cuInit(unsigned flags) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
int cuDeviceGet(int *device, int index) { return *device = index, index ? NO_DEVICE : SUCCESS; }
int cuDeviceGetName(char *name, int length, int device) { return snprintf(name, length, "fake"), SUCCESS; }
int cuDeviceComputeCapability(int *major, int *minor, int device) { return *major = 9, *minor = 0, SUCCESS; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { return *value = PITCH, SUCCESS; }
int cuCtxCreate_v2(void **created, unsigned flags, int device) {
    return *created = &context, fails("device") ? NO_DEVICE : SUCCESS;
}
int cuCtxPushCurrent_v2(void *pushed) { return SUCCESS; }
int cuCtxPopCurrent_v2(void **popped) { return *popped = &context, SUCCESS; }
int cuCtxGetCurrent(void **current) { return *current = &context, SUCCESS; }
int cuCtxDestroy_v2(void *destroyed) { return SUCCESS; }
int cuMemAlloc_v2(pointer *allocated, size_t size) { return *allocated = (pointer)malloc(size), SUCCESS; }
int cuMemFree_v2(pointer freed) { return free((void *)freed), SUCCESS; }
int cuStreamSynchronize(void *stream) { return SUCCESS; }
int cuGetErrorName(int error, const char **name) { return *name = "FAKE", SUCCESS; }
int cuGetErrorString(int error, const char **text) { return *text = "a fake error", SUCCESS; }

struct side {
    size_t x, y;
    int memory;
    void *host;
    pointer device;
    void *array;
    size_t pitch;
};

struct copy {
    struct side from, to;
    size_t width, height;
};

static unsigned char *start(const struct side *side) {
    unsigned char *bytes = side->memory == DEVICE_MEMORY ? (void *)side->device : side->host;
    return bytes + side->y * side->pitch + side->x;
}

int cuMemcpy2DAsync_v2(const struct copy *copy, void *stream) {
    for (size_t row = 0; row < copy->height; row++)
        memcpy(start(&copy->to) + row * copy->to.pitch, start(&copy->from) + row * copy->from.pitch, copy->width);
    return SUCCESS;
}

int cuMemcpy2D_v2(const struct copy *copy) { return cuMemcpy2DAsync_v2(copy, NULL); }

/* NVDEC; the structures as far as they are used */

struct capabilities {
    int codec, chroma, bit_depth_minus_8, reserved[3];
    unsigned char supported, engines;
    unsigned short formats;
    unsigned max_width, max_height, max_macroblocks;
    unsigned short min_width, min_height;
};

struct creation {
    unsigned long width, height, surfaces;
    int codec, chroma;
    unsigned long flags, bit_depth_minus_8;
};

struct picture {
    int width, height, surface, is_field, is_bottom, is_second;
    unsigned length;
    const unsigned char *slices;
};

struct decoder {
    size_t height, row_bytes, sample_bytes;
    unsigned char *surfaces[SURFACES];
    int decoded, mapped;
};

int cuvidGetDecoderCaps(struct capabilities *capabilities) {
    capabilities->supported = !fails("caps");
    capabilities->engines = 1;
    capabilities->formats = 3;
    capabilities->max_width = capabilities->max_height = 4096;
    capabilities->max_macroblocks = 65536;
    capabilities->min_width = capabilities->min_height = 48;
    return SUCCESS;
}

int cuvidCreateDecoder(struct decoder **created, struct creation *info) {
    if (fails("create") || info->surfaces > SURFACES)
        return INVALID_VALUE;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    decoder->sample_bytes = info->bit_depth_minus_8 ? 2 : 1;
    decoder->row_bytes = (info->width * decoder->sample_bytes + PITCH - 1) / PITCH * PITCH;
    decoder->height = info->height;
    for (unsigned long surface = 0; surface < info->surfaces; surface++)
        decoder->surfaces[surface] = malloc(decoder->row_bytes * decoder->height * 3 / 2);
    *created = decoder;
    return SUCCESS;
}

int cuvidDestroyDecoder(struct decoder *decoder) {
    for (int surface = 0; surface < SURFACES; surface++)
        free(decoder->surfaces[surface]);
    free(decoder);
    return SUCCESS;
}

static uint32_t crc_32(const unsigned char *bytes, size_t length) {
    uint32_t crc = 0xffffffff;
    for (size_t index = 0; index < length; index++) {
        crc ^= bytes[index];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

int cuvidDecodePicture(struct decoder *decoder, struct picture *picture) {
    if (fails_from("picture", decoder->decoded++))
        return INVALID_VALUE;
    char path[4096];
    snprintf(path, sizeof path, "%s/%08x", getenv("FAKE_GPU"), crc_32(picture->slices, picture->length));
    FILE *file = fopen(path, "rb");
    if (!file)
        return INVALID_VALUE;
    uint32_t size[2]; /* height and width of the picture, which may be smaller than the surface */
    fread(size, sizeof *size, 2, file);
    unsigned char *surface = decoder->surfaces[picture->surface];
    memset(surface, 0xee, decoder->row_bytes * decoder->height * 3 / 2);
    for (size_t row = 0; row < size[0]; row++)
        fread(surface + row * decoder->row_bytes, decoder->sample_bytes, size[1], file);
    for (size_t row = 0; row < size[0] / 2; row++)
        fread(surface + (decoder->height + row) * decoder->row_bytes, decoder->sample_bytes, size[1], file);
    fclose(file);
    if (fails("rubbish"))
        surface[0] ^= 0x80;
    note('d');
    return SUCCESS;
}

int cuvidMapVideoFrame64(struct decoder *decoder, int surface, pointer *mapped, unsigned *pitch, void *parameters) {
    if (fails_from("map", decoder->mapped++))
        return INVALID_VALUE;
    *mapped = (pointer)decoder->surfaces[surface];
    *pitch = decoder->row_bytes;
    return SUCCESS;
}

int cuvidUnmapVideoFrame64(struct decoder *decoder, pointer mapped) { return SUCCESS; }

/* Functions that FFmpeg looks up and does not call here. */

#define UNUSED(name) int name(void) { return NOT_SUPPORTED; }
UNUSED(cuDeviceGetPCIBusId)
UNUSED(cuDeviceGetByPCIBusId)
UNUSED(cuCtxSetLimit)
UNUSED(cuMemAllocPitch_v2)
UNUSED(cuMemAllocManaged)
UNUSED(cuMemsetD8Async)
UNUSED(cuMemcpy)
UNUSED(cuMemcpyAsync)
UNUSED(cuMemcpyHtoD_v2)
UNUSED(cuMemcpyHtoDAsync_v2)
UNUSED(cuMemcpyDtoH_v2)
UNUSED(cuMemcpyDtoHAsync_v2)
UNUSED(cuMemcpyDtoD_v2)
UNUSED(cuMemcpyDtoDAsync_v2)
UNUSED(cuCtxGetDevice)
UNUSED(cuDevicePrimaryCtxRetain)
UNUSED(cuDevicePrimaryCtxRelease)
UNUSED(cuDevicePrimaryCtxSetFlags)
UNUSED(cuDevicePrimaryCtxGetState)
UNUSED(cuDevicePrimaryCtxReset)
UNUSED(cuStreamCreate)
UNUSED(cuStreamQuery)
UNUSED(cuStreamDestroy_v2)
UNUSED(cuStreamAddCallback)
UNUSED(cuStreamWaitEvent)
UNUSED(cuEventCreate)
UNUSED(cuEventDestroy_v2)
UNUSED(cuEventSynchronize)
UNUSED(cuEventQuery)
UNUSED(cuEventRecord)
UNUSED(cuLaunchKernel)
UNUSED(cuLinkCreate)
UNUSED(cuLinkAddData)
UNUSED(cuLinkComplete)
UNUSED(cuLinkDestroy)
UNUSED(cuModuleLoadData)
UNUSED(cuModuleUnload)
UNUSED(cuModuleGetFunction)
UNUSED(cuModuleGetGlobal)
UNUSED(cuTexObjectCreate)
UNUSED(cuTexObjectDestroy)
UNUSED(cuGLGetDevices_v2)
UNUSED(cuGraphicsGLRegisterImage)
UNUSED(cuGraphicsUnregisterResource)
UNUSED(cuGraphicsMapResources)
UNUSED(cuGraphicsUnmapResources)
UNUSED(cuGraphicsSubResourceGetMappedArray)
UNUSED(cuGraphicsResourceGetMappedPointer_v2)
UNUSED(cuArrayCreate_v2)
UNUSED(cuArray3DCreate_v2)
UNUSED(cuArrayDestroy)
UNUSED(cuEGLStreamProducerConnect)
UNUSED(cuEGLStreamProducerDisconnect)
UNUSED(cuEGLStreamConsumerDisconnect)
UNUSED(cuEGLStreamProducerPresentFrame)
UNUSED(cuEGLStreamProducerReturnFrame)
UNUSED(cuvidGetDecodeStatus)
UNUSED(cuvidReconfigureDecoder)
UNUSED(cuvidCtxLockCreate)
UNUSED(cuvidCtxLockDestroy)
UNUSED(cuvidCtxLock)
UNUSED(cuvidCtxUnlock)
UNUSED(cuvidCreateVideoSource)
UNUSED(cuvidCreateVideoSourceW)
UNUSED(cuvidDestroyVideoSource)
UNUSED(cuvidSetVideoSourceState)
UNUSED(cuvidGetVideoSourceState)
UNUSED(cuvidGetSourceVideoFormat)
UNUSED(cuvidGetSourceAudioFormat)
UNUSED(cuvidCreateVideoParser)
UNUSED(cuvidParseVideoData)
UNUSED(cuvidDestroyVideoParser)
