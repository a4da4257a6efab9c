/* A camera at /dev/video0 for a process that preloads this library: the part of V4L2 that FFmpeg uses.
 *
 * It shows 64x48 pixels of YUYV, red on the left and blue on the right, 50 times a second, and does what the
 * environment variable FAKE_CAMERA says: "<frames> unplug" fails after so many frames as an unplugged camera does,
 * "busy" belongs to another program, "endless" goes on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 64, HEIGHT = 48, BUFFERS = 4, LENGTH = WIDTH * HEIGHT * 2, FRAMES_PER_SECOND = 50 };

static const char DEVICE[] = "/dev/video0";
static int device = -1;
static unsigned char pictures[BUFFERS][LENGTH];
static int queued[BUFFERS], first, waiting, shown;

static int fail(int error) {
    errno = error;
    return -1;
}

static void paint(unsigned char *picture) {
    static const unsigned char red[4] = {81, 90, 81, 240}, blue[4] = {41, 240, 41, 110};
    for (int pair = 0; pair < WIDTH * HEIGHT / 2; pair++)
        memcpy(picture + 4 * pair, pair % (WIDTH / 2) < WIDTH / 4 ? red : blue, 4);
}

static void describe(struct v4l2_pix_format *pix) {
    memset(pix, 0, sizeof *pix);
    pix->width = WIDTH;
    pix->height = HEIGHT;
    pix->pixelformat = V4L2_PIX_FMT_YUYV;
    pix->field = V4L2_FIELD_NONE;
    pix->bytesperline = 2 * WIDTH;
    pix->sizeimage = LENGTH;
}

static int next_picture(struct v4l2_buffer *buffer) {
    char *rest;
    long last = strtol(getenv("FAKE_CAMERA"), &rest, 10);
    if (!strcmp(rest, " unplug") && shown >= last)
        return fail(ENODEV);
    struct timespec pause = {0, 1000000000 / FRAMES_PER_SECOND}, now;
    nanosleep(&pause, NULL);
    while (!waiting) /* as the driver: a picture needs a free buffer */
        nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->index = queued[first];
    first = (first + 1) % BUFFERS;
    waiting--;
    paint(pictures[buffer->index]);
    buffer->bytesused = LENGTH;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->sequence = shown++;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        capability->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_ENUMINPUT:
        return ((struct v4l2_input *)argument)->index ? fail(EINVAL) : 0;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
        describe(&((struct v4l2_format *)argument)->fmt.pix);
        return 0;
    case VIDIOC_G_PARM: {
        struct v4l2_captureparm *capture = &((struct v4l2_streamparm *)argument)->parm.capture;
        capture->timeperframe.numerator = 1;
        capture->timeperframe.denominator = FRAMES_PER_SECOND;
        return 0;
    }
    case VIDIOC_REQBUFS:
        ((struct v4l2_requestbuffers *)argument)->count = BUFFERS;
        return 0;
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = LENGTH;
        buffer->m.offset = buffer->index;
        return 0;
    }
    case VIDIOC_QBUF:
        queued[(first + waiting) % BUFFERS] = ((struct v4l2_buffer *)argument)->index;
        waiting++;
        return 0;
    case VIDIOC_DQBUF:
        return next_picture(argument);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
        return 0;
    default:
        return fail(ENOTTY);
    }
}

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real)
        real = dlsym(RTLD_NEXT, "open64");
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    if (strcmp(path, DEVICE))
        return real(path, flags, mode);
    if (!strcmp(getenv("FAKE_CAMERA"), "busy"))
        return fail(EBUSY);
    device = real("/dev/null", O_RDWR);
    return device;
}

int ioctl(int file, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    if (!real)
        real = dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return file == device && file >= 0 ? answer((unsigned int)request, argument) : real(file, request, argument);
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off64_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off64_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "mmap64");
    return file == device && file >= 0 ? pictures[offset] : real(address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length) {
    static int (*real)(void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "munmap");
    unsigned char *start = address;
    return start >= pictures[0] && start < pictures[BUFFERS] ? 0 : real(address, length);
}

int close(int file) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "close");
    if (file == device)
        device = -1;
    return real(file);
}

/* Python asks whether the device exists; which function it asks depends on the libc it was built with. */
int stat64(const char *path, struct stat64 *status) {
    static int (*real)(const char *, struct stat64 *);
    if (!real)
        real = dlsym(RTLD_NEXT, "stat64");
    return real(strcmp(path, DEVICE) ? path : "/dev/null", status);
}

int __xstat64(int version, const char *path, struct stat64 *status) {
    static int (*real)(int, const char *, struct stat64 *);
    if (!real)
        real = dlsym(RTLD_NEXT, "__xstat64");
    return real(version, strcmp(path, DEVICE) ? path : "/dev/null", status);
}
