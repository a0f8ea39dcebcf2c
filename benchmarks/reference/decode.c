/* The floor of rowlock.Images: read a JPEG, decode it at the best power of two, resize it into the batch.
 *
 * libjpeg-turbo (TurboJPEG) does the decoding, with its fast inverse transform and upsampling, at the smallest of
 * 1/1, 1/2, 1/4, 1/8 that is no smaller than the target. The resize is the antialiased triangle filter that Pillow calls
 * BILINEAR, in two passes with weights in 256ths: down the columns first, a row of the source at a time in 16 bits, then
 * along the rows. Buffers and tap tables are kept. Nothing is checked but what the decoder says.
 *
 *     cc -O3 -march=native -shared -fPIC decode.c -o decode.so -lturbojpeg -lpthread -lm
 */

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <turbojpeg.h>
#include <unistd.h>

typedef struct {
    int num_in, num_out, num_taps;
    int *starts;
    uint16_t *weights; /* num_out x num_taps; each row sums to 256 */
} taps;

typedef struct {
    tjhandle decoder;
    unsigned char *file, *pixels;
    uint16_t *line;
    size_t file_size, pixels_size, line_size;
    taps down, along;
} worker;

typedef struct {
    const char *const *paths;
    long first, stop;
    int height, width, failed, decode_only;
    unsigned char *out;
    worker *owner;
} job;

static void *grown(void *buffer, size_t *size, size_t needed) {
    if (needed <= *size) return buffer;
    *size = needed + needed / 2;
    free(buffer);
    return malloc(*size);
}

static void make_taps(taps *table, int num_in, int num_out) {
    if (table->num_in == num_in && table->num_out == num_out) return;
    double scale = (double)num_in / num_out, reach = scale > 1 ? scale : 1;
    int most = (int)ceil(2 * reach) + 1;
    if (most > num_in) most = num_in;
    free(table->starts);
    free(table->weights);
    table->starts = malloc(num_out * sizeof *table->starts);
    table->weights = calloc((size_t)num_out * most, sizeof *table->weights);
    for (int place = 0; place < num_out; place++) {
        double centre = (place + 0.5) * scale, sum = 0, exact[4096];
        int start = (int)floor(centre - reach + 0.5), whole = 0, largest = 0;
        if (start < 0) start = 0;
        if (start > num_in - most) start = num_in - most;
        for (int tap = 0; tap < most; tap++) {
            double distance = fabs((start + tap + 0.5 - centre) / reach);
            exact[tap] = distance < 1 ? 1 - distance : 0;
            sum += exact[tap];
        }
        uint16_t *weights = table->weights + (size_t)place * most;
        for (int tap = 0; tap < most; tap++) {
            weights[tap] = (uint16_t)(exact[tap] / sum * 256 + 0.5);
            whole += weights[tap];
            if (weights[tap] > weights[largest]) largest = tap;
        }
        weights[largest] += 256 - whole; /* what rounding left goes to the middle */
        table->starts[place] = start;
    }
    table->num_in = num_in;
    table->num_out = num_out;
    table->num_taps = most;
}

static void down_the_columns(const unsigned char *source, int stride, const uint16_t *weights, int num_taps,
                             uint16_t *restrict line) {
    for (int at = 0; at < stride; at++) line[at] = 128;
    for (int tap = 0; tap < num_taps; tap++) {
        const unsigned char *restrict row = source + (size_t)tap * stride;
        uint16_t weight = weights[tap];
        if (!weight) continue;
        for (int at = 0; at < stride; at++) line[at] += (uint16_t)(row[at] * weight); /* at most 255 * 256 + 128 */
    }
    for (int at = 0; at < stride; at++) line[at] >>= 8;
}

static void along_the_row(const uint16_t *line, const taps *table, unsigned char *out) {
    int num_taps = table->num_taps;
    for (int place = 0; place < table->num_out; place++) {
        const uint16_t *weights = table->weights + (size_t)place * num_taps, *source = line + 3 * table->starts[place];
        uint32_t red = 128, green = 128, blue = 128;
        for (int tap = 0; tap < num_taps; tap++) {
            red += (uint32_t)source[3 * tap] * weights[tap];
            green += (uint32_t)source[3 * tap + 1] * weights[tap];
            blue += (uint32_t)source[3 * tap + 2] * weights[tap];
        }
        out[3 * place] = red >> 8;
        out[3 * place + 1] = green >> 8;
        out[3 * place + 2] = blue >> 8;
    }
}

static long read_file(worker *self, const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0) return -1;
    long got = -1;
    if (!fstat(descriptor, &status)) {
        self->file = grown(self->file, &self->file_size, status.st_size);
        got = read(descriptor, self->file, status.st_size);
    }
    close(descriptor);
    return got;
}

static int one(worker *self, const char *path, int height, int width, unsigned char *out, int decode_only) {
    int from_height, from_width, subsampling, colours, divisor = 8;
    long num_bytes = read_file(self, path);
    if (num_bytes < 0) return -1;
    if (tjDecompressHeader3(self->decoder, self->file, num_bytes, &from_width, &from_height, &subsampling, &colours))
        return -1;
    while (divisor > 1 && ((from_height + divisor - 1) / divisor < height || (from_width + divisor - 1) / divisor < width))
        divisor /= 2;
    from_height = (from_height + divisor - 1) / divisor;
    from_width = (from_width + divisor - 1) / divisor;
    int stride = 3 * from_width;
    self->pixels = grown(self->pixels, &self->pixels_size, (size_t)stride * from_height);
    if (tjDecompress2(self->decoder, self->file, num_bytes, self->pixels, from_width, stride, from_height, TJPF_RGB,
                      TJFLAG_FASTDCT | TJFLAG_FASTUPSAMPLE))
        return -1;
    if (decode_only) return 0;
    self->line = grown(self->line, &self->line_size, stride * sizeof *self->line);
    make_taps(&self->down, from_height, height);
    make_taps(&self->along, from_width, width);
    for (int row = 0; row < height; row++) {
        const unsigned char *source = self->pixels + (size_t)self->down.starts[row] * stride;
        down_the_columns(source, stride, self->down.weights + (size_t)row * self->down.num_taps, self->down.num_taps,
                         self->line);
        along_the_row(self->line, &self->along, out + (size_t)3 * width * row);
    }
    return 0;
}

static void *run(void *given) {
    job *todo = given;
    size_t num_bytes = (size_t)3 * todo->height * todo->width;
    for (long at = todo->first; at < todo->stop; at++)
        todo->failed += 0 != one(todo->owner, todo->paths[at], todo->height, todo->width, todo->out + num_bytes * at,
                                 todo->decode_only);
    return NULL;
}

/* Kept from call to call: one for each thread. */
worker *make_workers(int number) {
    worker *workers = calloc(number, sizeof *workers);
    for (int place = 0; place < number; place++) workers[place].decoder = tjInitDecompress();
    return workers;
}

/* Fill out, num_paths x height x width x 3; return how many pictures failed. */
int decode_batch(worker *workers, int num_threads, const char *const *paths, long num_paths, int height, int width,
                 unsigned char *out, int decode_only) {
    job jobs[64];
    pthread_t threads[64];
    int failed = 0;
    for (int place = 0; place < num_threads; place++) {
        jobs[place] = (job){paths, num_paths * place / num_threads, num_paths * (place + 1) / num_threads, height, width,
                            0,     decode_only,                    out,                                  workers + place};
        if (place) pthread_create(threads + place, NULL, run, jobs + place);
    }
    run(jobs);
    for (int place = 0; place < num_threads; place++) {
        if (place) pthread_join(threads[place], NULL);
        failed += jobs[place].failed;
    }
    return failed;
}
