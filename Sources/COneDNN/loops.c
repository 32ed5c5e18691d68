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
// Pairs of one row of each square, source by source: what is asked for again and again is looked up once a row.
VECTORS
static void gather_pairs(const float *planes, int sources, size_t plane, int width, int y, float *pixels) {
    const float *rows[64];
    for (int s = 0; s < sources; ++s) rows[s] = planes + (s / 2) * plane + (size_t)(2 * y + s % 2) * width;
    for (int x = 0; x < width / 2; ++x, pixels += 2 * sources)
        for (int s = 0; s < sources; ++s) memcpy(pixels + 2 * s, rows[s] + 2 * x, 2 * sizeof(float));
}

// The same in bytes; where the number of sources is known when it is compiled, the innermost loop is unrolled.
static inline __attribute__((always_inline)) void gather_byte_pairs(const int8_t *rows, const int sources, int width,
    int8_t *pixels)
{
    for (int x = 0; x < width / 2; ++x, rows += 2, pixels += 2 * sources)
        for (int s = 0; s < sources; ++s) memcpy(pixels + 2 * s, rows + (size_t)s * width, 2);
}

VECTORS
void conednn_fold_f32(const float *planes, int channels, int height, int width, int side, float *pixels) {
    const size_t plane = (size_t)height * width;
    const int columns = width / side, sources = channels * side;
    for (int y = 0; y < height / side; ++y, pixels += (size_t)columns * sources * side) {
        if (side == 2 && sources <= 64) {
            gather_pairs(planes, sources, plane, width, y, pixels);
            continue;
        }
        float *pixel = pixels;
        for (int x = 0; x < columns; ++x)
            for (int s = 0; s < sources; ++s) {
                const float *source = planes + (s / side) * plane + (size_t)(y * side + s % side) * width + x * side;
                for (int dx = 0; dx < side; ++dx) *pixel++ = source[dx];
            }
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
        if (side == 2) {
            // Colours, haematoxylin and eosin: what lymphocyte networks see.
            if (sources == 10)
                gather_byte_pairs(rows, 10, width, pixels);
            else
                gather_byte_pairs(rows, sources, width, pixels);
            pixels += (size_t)columns * 2 * sources;
            continue;
        }
        for (int x = 0; x < columns; ++x)
            for (int s = 0; s < sources; ++s)
                for (int dx = 0; dx < side; ++dx) *pixels++ = rows[(size_t)s * width + x * side + dx];
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

// Two rows of the fine grid, 2i and 2i + 1, as the kernel sees them: sums over its rows of rows of the enlarged image, each
// ¾ of the nearer coarse row and ¼ of the other. `above` and `below` are the rows i - 1 and i + 1 of each tap, `here` row i.
VECTORS
static void sum_rows(const float *const *above, const float *const *here, const float *const *below, size_t length, float *even,
    float *odd)
{
    const float *a0 = above[0], *a1 = above[1], *h0 = here[0], *h1 = here[1], *h2 = here[2], *b1 = below[1], *b2 = below[2];
    for (size_t i = 0; i < length; ++i) {
        even[i] = 0.75f * (a0[i] + h1[i] + h2[i]) + 0.25f * (h0[i] + a1[i] + b2[i]);
        odd[i] = 0.75f * (h0[i] + h1[i] + b2[i]) + 0.25f * (a0[i] + b1[i] + h2[i]);
    }
}

// The same at the upper or lower edge: rows beyond the image are zero, halves of pixels are clamped.
static void sum_edge_rows(const float *const *taps, int height, int y, size_t line, float *row) {
    for (size_t i = 0; i < line; ++i) row[i] = 0;
    for (int tap = 0; tap < 3; ++tap) {
        const int source = y + tap - 1;
        if (source < 0 || source >= 2 * height) continue;
        const int near = source / 2;
        int far = source & 1 ? near + 1 : near - 1;
        far = far < 0 ? 0 : far >= height ? height - 1 : far;
        const float *a = taps[tap] + near * line, *b = taps[tap] + far * line;
        for (size_t i = 0; i < line; ++i) row[i] += 0.75f * a[i] + 0.25f * b[i];
    }
}

// A pixel at the left or right edge: columns beyond the image are zero, halves of pixels are clamped.
static void sum_edge_column(const float *const *rows, int width, int x, float *output) {
    for (int k = 0; k < 16; ++k) output[k] = 0;
    for (int tap = 0; tap < 3; ++tap) {
        const int column = x + tap - 1;
        if (column < 0 || column >= 2 * width) continue;
        const int near = column / 2;
        int far = column & 1 ? near + 1 : near - 1;
        far = far < 0 ? 0 : far >= width ? width - 1 : far;
        for (int k = 0; k < 16; ++k) output[k] += 0.75f * rows[tap][16 * near + k] + 0.25f * rows[tap][16 * far + k];
    }
}

VECTORS
static void sum_columns(const float *const *rows, int width, float *output) {
    const float *l = rows[0], *m = rows[1], *r = rows[2];
    for (int x = 1; x < width - 1; ++x) {
        float *even = output + 32 * (size_t)x, *odd = even + 16;
        const float *a = l + 16 * x, *b = m + 16 * x, *c = r + 16 * x;
        for (int k = 0; k < 16; ++k) {
            even[k] = 0.75f * (a[k - 16] + b[k] + c[k]) + 0.25f * (a[k] + b[k - 16] + c[k + 16]);
            odd[k] = 0.75f * (a[k] + b[k] + c[k + 16]) + 0.25f * (a[k - 16] + b[k + 16] + c[k]);
        }
    }
    sum_edge_column(rows, width, 0, output);
    sum_edge_column(rows, width, 1, output + 16);
    if (width > 1) {
        sum_edge_column(rows, width, 2 * width - 2, output + 16 * (size_t)(2 * width - 2));
        sum_edge_column(rows, width, 2 * width - 1, output + 16 * (size_t)(2 * width - 1));
    }
}

// Convolution and enlargement are both linear, so they may change places: the taps' products are made on the coarse grid,
// a quarter of the work, and only sums remain for the fine one. The sums are made over rows first, then over columns.
void conednn_enlarge_taps(const float *taps, int channels, int height, int width, float *rows, float *output) {
    const size_t line = 16 * (size_t)width, block = line * height;
    const int blocks = channels / 16;
    for (int b = 0; b < blocks; ++b)
        for (int y = 0; y < height; ++y) {
            const float *even[3], *odd[3];
            for (int column = 0; column < 3; ++column) {
                const float *kernel[3], *above[3], *here[3], *below[3];
                for (int row = 0; row < 3; ++row) {
                    kernel[row] = taps + ((row * 3 + column) * blocks + b) * block;
                    here[row] = kernel[row] + y * line;
                    above[row] = here[row] - line;
                    below[row] = here[row] + line;
                }
                float *first = rows + 2 * column * line, *second = first + line;
                if (y > 0 && y < height - 1) {
                    sum_rows(above, here, below, line, first, second);
                } else {
                    sum_edge_rows(kernel, height, 2 * y, line, first);
                    sum_edge_rows(kernel, height, 2 * y + 1, line, second);
                }
                even[column] = first;
                odd[column] = second;
            }
            float *target = output + 4 * b * block + 4 * y * line;
            sum_columns(even, width, target);
            sum_columns(odd, width, target + 2 * line);
        }
}

VECTORS
void conednn_block(const float *pixels, size_t count, int channels, float *blocks) {
    for (size_t i = 0; i < count; ++i)
        for (int c = 0; c < channels; c += 16)
            memcpy(blocks + (c * count + 16 * i), pixels + i * channels + c, 16 * sizeof(float));
}

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
VECTORS
static void add_projection(const float *input, size_t pixels, const float *weights, float *output) {
    for (size_t i = 0; i < pixels; ++i, input += 16) {
        float parts[16];
        for (int k = 0; k < 16; ++k) parts[k] = weights[k] * input[k];
        for (int step = 8; step; step /= 2)
            for (int k = 0; k < step; ++k) parts[k] += parts[k + step];
        output[i] += parts[0];
    }
}
PROJECT(conednn_project_f32, float)
PROJECT(conednn_project_u8, uint8_t)

void conednn_project_blocked(const float *input, size_t pixels, int channels, const float *weights, float bias, float *output) {
    conednn_project_f32(input, pixels, 16, weights, bias, output);
    for (int c = 16; c < channels; c += 16) add_projection(input + c * pixels, pixels, weights + c, output);
}

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

// Four rows a pass: what is summed up is loaded and stored that much less often.
VECTORS
static void add_rows(const float *const *rows, int count, int width, float *target) {
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        const float *a = rows[i], *b = rows[i + 1], *c = rows[i + 2], *d = rows[i + 3];
        for (int x = 0; x < width; ++x) target[x] += (a[x] + b[x]) + (c[x] + d[x]);
    }
    for (; i < count; ++i)
        for (int x = 0; x < width; ++x) target[x] += rows[i][x];
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
        const float *rows[64];
        int count = 0;
        for (int dy = -radius; dy <= radius; ++dy) {
            const int from = y + dy;
            if (from < 0 || from >= height) continue;
            rows[count++] = sums + ((size_t)(from % ring) * (radius + 1) + abs(dy)) * width;
            if (count == 64) {
                add_rows(rows, count, width, total + radius);
                count = 0;
            }
        }
        add_rows(rows, count, width, total + radius);
        for (int x = 0; x < width; ++x) target[x] += factor * total[radius + x];
    }
}

VECTORS
int conednn_divide(float *values, size_t count, float divisor) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; ++i) {
        values[i] /= divisor;
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    return largest < 0x7f800000;
}

void conednn_count_sizes(const float *values, size_t count, uint32_t *bins) {
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        if (bits < 0x80000000u) ++bins[bits >> 16];
    }
}
