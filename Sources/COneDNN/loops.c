#include "COneDNN.h"

#include <stdlib.h>
#include <string.h>

// The package is built for any x86-64; these loops exist once for each kind of vector unit, chosen at load time.
#if defined(__x86_64__) && defined(__linux__)
#define VECTORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTORS
#endif

// Each output pixel gathers from one row of every channel and row of its square: the writes are in order.
VECTORS
void conednn_fold_f32(const float *planes, int channels, int height, int width, int side, float *pixels) {
    const size_t plane = (size_t)height * width;
    const int columns = width / side, sources = channels * side;
    for (int y = 0; y < height / side; ++y)
        for (int x = 0; x < columns; ++x)
            for (int s = 0; s < sources; ++s) {
                const float *source = planes + (s / side) * plane + (size_t)(y * side + s % side) * width + x * side;
                if (side == 2)
                    memcpy(pixels, source, 2 * sizeof(float));
                else
                    for (int dx = 0; dx < side; ++dx) pixels[dx] = source[dx];
                pixels += side;
            }
}

VECTORS
void conednn_fold_s8(const float *planes, int channels, int height, int width, int side, const float *factors, int8_t *rows,
    int8_t *pixels)
{
    const size_t plane = (size_t)height * width;
    const int columns = width / side, sources = channels * side;
    for (int y = 0; y < height / side; ++y) {
        for (int s = 0; s < sources; ++s) {
            const float *source = planes + (s / side) * plane + (size_t)(y * side + s % side) * width;
            int8_t *target = rows + (size_t)s * width;
            const float factor = factors[s / side];
            for (int x = 0; x < width; ++x) {
                float value = source[x] * factor;
                value = value > 127 ? 127 : value < -127 ? -127 : value;
                target[x] = (int8_t)(int)(value + (value < 0 ? -0.5f : 0.5f));
            }
        }
        for (int x = 0; x < columns; ++x)
            for (int s = 0; s < sources; ++s) {
                if (side == 2)
                    memcpy(pixels, rows + (size_t)s * width + 2 * x, 2);
                else
                    for (int dx = 0; dx < side; ++dx) pixels[dx] = rows[(size_t)s * width + x * side + dx];
                pixels += side;
            }
    }
}

#define POOL(NAME, TYPE)                                                                                              \
    VECTORS void NAME(const TYPE *input, int height, int width, int channels, TYPE *output) {                         \
        const size_t line = (size_t)width * channels;                                                                 \
        for (int y = 0; y < height / 2; ++y)                                                                          \
            for (int x = 0; x < width / 2; ++x) {                                                                     \
                const TYPE *a = input + (size_t)(2 * y) * line + (size_t)(2 * x) * channels, *b = a + line;           \
                for (int c = 0; c < channels; ++c) {                                                                  \
                    const TYPE p = a[c] > a[c + channels] ? a[c] : a[c + channels];                                   \
                    const TYPE q = b[c] > b[c + channels] ? b[c] : b[c + channels];                                   \
                    output[c] = p > q ? p : q;                                                                        \
                }                                                                                                     \
                output += channels;                                                                                   \
            }                                                                                                         \
    }
POOL(conednn_pool_f32, float)
POOL(conednn_pool_u8, uint8_t)

// Output pixel 2i lies a quarter of a pixel before input pixel i, 2i + 1 a quarter after it.
#define ENLARGE_JOIN(NAME, TYPE, MIX)                                                                                 \
    VECTORS void NAME(const TYPE *low, int low_channels, const TYPE *skip, int skip_channels, int height, int width,  \
        TYPE *output) {                                                                                               \
        const int total = low_channels + skip_channels;                                                               \
        const size_t line = (size_t)width * low_channels;                                                             \
        for (int y = 0; y < 2 * height; ++y) {                                                                        \
            const int near = y / 2;                                                                                   \
            int far = y & 1 ? near + 1 : near - 1;                                                                    \
            far = far < 0 ? 0 : far >= height ? height - 1 : far;                                                     \
            for (int x = 0; x < 2 * width; ++x) {                                                                     \
                const int nearest = x / 2;                                                                            \
                int next = x & 1 ? nearest + 1 : nearest - 1;                                                         \
                next = next < 0 ? 0 : next >= width ? width - 1 : next;                                               \
                const TYPE *a = low + near * line + (size_t)nearest * low_channels;                                   \
                const TYPE *b = low + near * line + (size_t)next * low_channels;                                      \
                const TYPE *c = low + far * line + (size_t)nearest * low_channels;                                    \
                const TYPE *d = low + far * line + (size_t)next * low_channels;                                       \
                for (int i = 0; i < low_channels; ++i) output[i] = MIX(a[i], b[i], c[i], d[i]);                       \
                memcpy(output + low_channels, skip, sizeof(TYPE) * (size_t)skip_channels);                            \
                skip += skip_channels;                                                                                \
                output += total;                                                                                      \
            }                                                                                                         \
        }                                                                                                             \
    }
#define MIX_F32(a, b, c, d) (0.75f * (0.75f * (a) + 0.25f * (b)) + 0.25f * (0.75f * (c) + 0.25f * (d)))
#define MIX_U8(a, b, c, d) (uint8_t)((uint16_t)(9 * (a) + 3 * (b) + 3 * (c) + (d) + 8) >> 4)
ENLARGE_JOIN(conednn_enlarge_join_f32, float, MIX_F32)
ENLARGE_JOIN(conednn_enlarge_join_u8, uint8_t, MIX_U8)

#define PROJECT(NAME, TYPE)                                                                                           \
    VECTORS void NAME(const TYPE *input, size_t pixels, int channels, const float *weights, float bias,               \
        float *output) {                                                                                              \
        for (size_t i = 0; i < pixels; ++i, input += channels) {                                                      \
            float parts[16] = {0};                                                                                    \
            int c = 0;                                                                                                \
            for (; c + 16 <= channels; c += 16)                                                                       \
                for (int k = 0; k < 16; ++k) parts[k] += weights[c + k] * (float)input[c + k];                        \
            float sum = bias;                                                                                         \
            for (; c < channels; ++c) sum += weights[c] * (float)input[c];                                            \
            for (int step = 8; step; step /= 2)                                                                       \
                for (int k = 0; k < step; ++k) parts[k] += parts[k + step];                                           \
            output[i] = sum + parts[0];                                                                               \
        }                                                                                                             \
    }
PROJECT(conednn_project_f32, float)
PROJECT(conednn_project_u8, uint8_t)

VECTORS
void conednn_enlarge_plane(const float *low, int height, int width, float *output) {
    for (int y = 0; y < 2 * height; ++y) {
        const int near = y / 2;
        int far = y & 1 ? near + 1 : near - 1;
        far = far < 0 ? 0 : far >= height ? height - 1 : far;
        const float *a = low + (size_t)near * width, *b = low + (size_t)far * width;
        float *row = output + (size_t)y * 2 * width;
        for (int x = 0; x < width; ++x) {
            const int left = x > 0 ? x - 1 : 0, right = x + 1 < width ? x + 1 : width - 1;
            const float here = 0.75f * a[x] + 0.25f * b[x];
            row[2 * x] = 0.75f * here + 0.25f * (0.75f * a[left] + 0.25f * b[left]);
            row[2 * x + 1] = 0.75f * here + 0.25f * (0.75f * a[right] + 0.25f * b[right]);
        }
    }
}

VECTORS
static void add_row(const float *source, int width, float *target) {
    for (int x = 0; x < width; ++x) target[x] += source[x];
}

VECTORS
static void add_shifted(const float *padded, int width, int reach, float *target) {
    for (int x = 0; x < width; ++x) target[x] += padded[x - reach] + padded[x + reach];
}

// The half-length of a disc's row, `dy` from its middle.
static int half_length(int radius, int dy) {
    int reach = 0;
    while ((reach + 1) * (reach + 1) + dy * dy <= radius * radius) ++reach;
    return reach;
}

VECTORS
void conednn_add_disc_mean(const float *plane, int height, int width, int radius, float weight, float *scratch, float *output) {
    // For each input row the sums over the disc's row lengths are made once, the longer from the shorter, and then added up
    // over the disc's rows: a ring of 2 radius + 1 rows with radius + 1 sums each (by distance from the middle).
    const int padded = width + 2 * radius, ring = 2 * radius + 1;
    float *row = scratch, *sums = scratch + padded;
    int pixels = 0;
    for (int dy = -radius; dy <= radius; ++dy) pixels += 2 * half_length(radius, dy) + 1;
    const float factor = weight / (float)pixels;
    memset(row, 0, sizeof(float) * (size_t)padded);
    for (int y = -radius; y < height; ++y) {
        const int next = y + radius;
        if (next < height) {
            memcpy(row + radius, plane + (size_t)next * width, sizeof(float) * (size_t)width);
            int reach = 0;
            for (int dy = radius; dy >= 0; --dy) {
                float *sum = sums + ((size_t)(next % ring) * (radius + 1) + dy) * width;
                memcpy(sum, dy == radius ? row + radius : sum + width, sizeof(float) * (size_t)width);
                for (const int wanted = half_length(radius, dy); reach < wanted;)
                    add_shifted(row + radius, width, ++reach, sum);
            }
        }
        if (y < 0) continue;
        float *target = output + (size_t)y * width;
        float *total = row;  // Its middle is written anew before it is read again; its ends stay zero.
        memset(total + radius, 0, sizeof(float) * (size_t)width);
        for (int dy = -radius; dy <= radius; ++dy) {
            const int from = y + dy;
            if (from < 0 || from >= height) continue;
            add_row(sums + ((size_t)(from % ring) * (radius + 1) + abs(dy)) * width, width, total + radius);
        }
        for (int x = 0; x < width; ++x) target[x] += factor * total[radius + x];
    }
}

void conednn_count_sizes(const float *values, size_t count, uint32_t *bins) {
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        if (bits < 0x80000000u) ++bins[bits >> 16];
    }
}
