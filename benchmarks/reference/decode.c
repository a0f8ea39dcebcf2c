/* The floor of rowlock.Images: read a JPEG, decode it at the best power of two, resize it into the batch.
 *
 * libjpeg-turbo (TurboJPEG) does the decoding, with its fast inverse transform and upsampling, at the smallest of
 * 1/1, 1/2, 1/4, 1/8 that is no smaller than the target. The resize is the antialiased triangle filter that Pillow calls
 * BILINEAR, with weights in 256ths and sums of 16 bits. Eight target rows are made at a time: each a weighted sum of
 * source rows; then the eight are turned, so that their values of one column stand side by side; then weighted sums of
 * columns; then back. Vectors are those of GCC and Clang. Buffers and tables of weights are kept.
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
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define LANES 8
#define STEP 32

typedef uint8_t step_bytes __attribute__((vector_size(STEP)));
typedef uint16_t step_sums __attribute__((vector_size(2 * STEP)));
typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));
typedef uint16_t lane_sums __attribute__((vector_size(2 * LANES)));

typedef struct {
    int num_in, num_out, num_taps;
    int *starts;
    uint16_t *weights; /* num_out x num_taps; each row sums to 256 */
} taps;

typedef struct {
    tjhandle decoder;
    uint8_t *file, *pixels, *lines, *columns, *made; /* lines: eight rows; columns, made: the same, turned */
    size_t file_size, pixels_size, lines_size, columns_size, made_size;
    taps down, along;
} worker;

typedef struct {
    const char *const *paths;
    long first, stop;
    int height, width, failed, decode_only;
    uint8_t *out;
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
    int most = (int)ceil(2 * reach);
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

/* A weighted sum of rows; num_bytes is a multiple of STEP. */
static inline __attribute__((always_inline)) void blend_some_rows(const uint8_t *source, int stride,
                                                                  const uint16_t *weights, int num_taps, int num_bytes,
                                                                  uint8_t *out) {
    for (int at = 0; at < num_bytes; at += STEP) {
        step_sums sums = {0};
        sums += 128;
        for (int tap = 0; tap < num_taps; tap++) {
            step_bytes values;
            memcpy(&values, source + (size_t)tap * stride + at, STEP);
            sums += __builtin_convertvector(values, step_sums) * weights[tap]; /* 255 * 256 + 128 at most */
        }
        step_bytes rounded = __builtin_convertvector(sums >> 8, step_bytes);
        memcpy(out + at, &rounded, STEP);
    }
}

/* The usual lengths are constants to the compiler. */
static void blend_rows(const uint8_t *source, int stride, const uint16_t *weights, int num_taps, int num_bytes,
                       uint8_t *out) {
    switch (num_taps) {
        case 2: blend_some_rows(source, stride, weights, 2, num_bytes, out); return;
        case 3: blend_some_rows(source, stride, weights, 3, num_bytes, out); return;
        case 4: blend_some_rows(source, stride, weights, 4, num_bytes, out); return;
        case 5: blend_some_rows(source, stride, weights, 5, num_bytes, out); return;
        case 6: blend_some_rows(source, stride, weights, 6, num_bytes, out); return;
        default: blend_some_rows(source, stride, weights, num_taps, num_bytes, out);
    }
}

/* Weighted sums of columns, LANES values each. */
static inline __attribute__((always_inline)) void blend_some_columns(const uint8_t *columns, const taps *table,
                                                                     int num_taps, uint8_t *out) {
    for (int place = 0; place < table->num_out; place++) {
        const uint16_t *weights = table->weights + (size_t)place * num_taps;
        const uint8_t *source = columns + (size_t)3 * LANES * table->starts[place];
        lane_sums red = {0}, green = {0}, blue = {0};
        red += 128, green += 128, blue += 128;
        for (int tap = 0; tap < num_taps; tap++, source += 3 * LANES) {
            lane_bytes values[3];
            memcpy(values, source, sizeof values);
            red += __builtin_convertvector(values[0], lane_sums) * weights[tap];
            green += __builtin_convertvector(values[1], lane_sums) * weights[tap];
            blue += __builtin_convertvector(values[2], lane_sums) * weights[tap];
        }
        lane_bytes rounded[3] = {__builtin_convertvector(red >> 8, lane_bytes),
                                 __builtin_convertvector(green >> 8, lane_bytes),
                                 __builtin_convertvector(blue >> 8, lane_bytes)};
        memcpy(out + (size_t)3 * LANES * place, rounded, sizeof rounded);
    }
}

static void blend_columns(const uint8_t *columns, const taps *table, uint8_t *out) {
    switch (table->num_taps) {
        case 2: blend_some_columns(columns, table, 2, out); return;
        case 3: blend_some_columns(columns, table, 3, out); return;
        case 4: blend_some_columns(columns, table, 4, out); return;
        case 5: blend_some_columns(columns, table, 5, out); return;
        case 6: blend_some_columns(columns, table, 6, out); return;
        default: blend_some_columns(columns, table, table->num_taps, out);
    }
}

/* Turn a block of 8 x 8 bytes. */
static void turn(const uint8_t *in, size_t in_step, uint8_t *out, size_t out_step) {
#ifdef __SSE2__
    __m128i pairs[4], fours[4], eights[4];
    for (int place = 0; place < 4; place++)
        pairs[place] = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(in + 2 * place * in_step)),
                                         _mm_loadl_epi64((const __m128i *)(in + (2 * place + 1) * in_step)));
    for (int place = 0; place < 4; place += 2) {
        fours[place] = _mm_unpacklo_epi16(pairs[place], pairs[place + 1]);
        fours[place + 1] = _mm_unpackhi_epi16(pairs[place], pairs[place + 1]);
    }
    for (int place = 0; place < 2; place++) {
        eights[2 * place] = _mm_unpacklo_epi32(fours[place], fours[place + 2]);
        eights[2 * place + 1] = _mm_unpackhi_epi32(fours[place], fours[place + 2]);
    }
    for (int place = 0; place < 4; place++) {
        _mm_storel_epi64((__m128i *)(out + 2 * place * out_step), eights[place]);
        _mm_storel_epi64((__m128i *)(out + (2 * place + 1) * out_step), _mm_srli_si128(eights[place], 8));
    }
#else
    for (int row = 0; row < 8; row++)
        for (int column = 0; column < 8; column++) out[column * out_step + row] = in[row * in_step + column];
#endif
}

/* Tables are made; the rows of self->pixels are stride bytes long, and may be read STEP bytes beyond the last. */
static void resize(worker *self, int stride, int height, int width, uint8_t *out) {
    int line_bytes = (stride + STEP - 1) / STEP * STEP, out_stride = 3 * width;
    self->lines = grown(self->lines, &self->lines_size, (size_t)LANES * line_bytes);
    self->columns = grown(self->columns, &self->columns_size, (size_t)LANES * line_bytes);
    self->made = grown(self->made, &self->made_size, (size_t)LANES * (out_stride + LANES));
    for (int first = 0; first < height; first += LANES) {
        int first_row = first + LANES <= height || height < LANES ? first : height - LANES; /* the last eight overlap */
        int num_rows = height < LANES ? height : LANES;
        for (int lane = 0; lane < num_rows; lane++) {
            int row = first_row + lane;
            blend_rows(self->pixels + (size_t)self->down.starts[row] * stride, stride,
                       self->down.weights + (size_t)row * self->down.num_taps, self->down.num_taps, line_bytes,
                       self->lines + (size_t)lane * line_bytes);
        }
        for (int at = 0; at < line_bytes; at += LANES)
            turn(self->lines + at, line_bytes, self->columns + (size_t)LANES * at, LANES);
        blend_columns(self->columns, &self->along, self->made);
        uint8_t *target = out + (size_t)first_row * out_stride;
        int at = 0;
        if (num_rows == LANES)
            for (; at + LANES <= out_stride; at += LANES)
                turn(self->made + (size_t)LANES * at, LANES, target + at, out_stride);
        for (; at < out_stride; at++)
            for (int lane = 0; lane < num_rows; lane++)
                target[(size_t)lane * out_stride + at] = self->made[(size_t)LANES * at + lane];
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

static int one(worker *self, const char *path, int height, int width, uint8_t *out, int decode_only) {
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
    self->pixels = grown(self->pixels, &self->pixels_size, (size_t)stride * from_height + STEP);
    if (tjDecompress2(self->decoder, self->file, num_bytes, self->pixels, from_width, stride, from_height, TJPF_RGB,
                      TJFLAG_FASTDCT | TJFLAG_FASTUPSAMPLE))
        return -1;
    if (decode_only) return 0;
    make_taps(&self->down, from_height, height);
    make_taps(&self->along, from_width, width);
    resize(self, stride, height, width, out);
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
                 uint8_t *out, int decode_only) {
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
