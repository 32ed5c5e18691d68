// Convolutions of oneDNN behind a small C ABI, and the loops between them. Images are NHWC with N = 1, or blocks of 16
// channels one behind the other, each NHWC ("blocked"; the same for 16 channels). Every call works on the calling thread
// alone: callers run several images at once instead.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CONEDNN_F32 = 0, CONEDNN_U8 = 1, CONEDNN_S8 = 2 } conednn_type;
typedef struct conednn_convolution conednn_convolution;

/// The version of oneDNN in use, as major · 10000 + minor · 100 + patch.
int conednn_version(void);
/// Whether the CPU has vectors of 16 floats, which blocked images are made for.
int conednn_has_avx512(void);
/// Whether byte products are summed in 32 bits by the CPU (VNNI): elsewhere they saturate in 16.
int conednn_has_vnni(void);

/// What a convolution does besides: ReLU; the sum is added to what the output holds; input and output are blocked; it is
/// computed after Winograd (3×3, 32 bits, blocked).
enum { CONEDNN_RELU = 1, CONEDNN_ADD = 2, CONEDNN_BLOCKED = 4, CONEDNN_WINOGRAD = 8 };

/// A convolution of stride 1 that keeps the image size, bias fused.
///
/// weights: [output][input][kernel][kernel]; whole numbers −127 … 127 if the input is of bytes.
/// scales: null, or what each output channel's sum (bias included) is multiplied with.
/// Returns null on failure, and the status in *status.
conednn_convolution *conednn_convolution_create(int kernel, int input_channels, int output_channels, int height, int width,
    conednn_type input, conednn_type output, const float *weights, const float *bias, const float *scales, int flags,
    int *status);
/// Bytes of scratch memory that a run needs.
size_t conednn_convolution_scratch(const conednn_convolution *convolution);
/// `scratch` is aligned to 64 bytes. Returns 0 or oneDNN's status.
int conednn_convolution_run(conednn_convolution *convolution, const void *input, void *output, void *scratch);
void conednn_convolution_destroy(conednn_convolution *convolution);

/// Planes (CHW) to pixels (HWC); squares of side² pixels become channels, in the order (channel, row, column).
void conednn_fold_f32(const float *planes, int channels, int height, int width, int side, float *pixels);
/// The same in bytes: each plane is multiplied with its factor, rounded and clamped to ±127. `rows` holds
/// channels · side · width bytes.
void conednn_fold_s8(const float *planes, int channels, int height, int width, int side, const float *factors, int8_t *rows,
    int8_t *pixels);

/// The maximum of each 2×2 square.
void conednn_pool_f32(const float *input, int height, int width, int channels, float *output);
void conednn_pool_u8(const uint8_t *input, int height, int width, int channels, uint8_t *output);

/// `low` enlarged twofold (bilinear, pixel centres at halves, clamped at the edges), its channels before those of `skip`.
/// height and width are those of `low`.
void conednn_enlarge_join_f32(const float *low, int low_channels, const float *skip, int skip_channels, int height, int width,
    float *output);
void conednn_enlarge_join_u8(const uint8_t *low, int low_channels, const uint8_t *skip, int skip_channels, int height,
    int width, uint8_t *output);

/// The 3×3 convolution (zero padding) of `low` enlarged twofold as above, from its nine taps applied to `low` itself: a blocked
/// image of 9 · channels channels, tap by tap from the top left. channels is a multiple of 16; height and width are those
/// of `low`; `rows` holds 96 · width floats; the output is blocked.
void conednn_enlarge_taps(const float *taps, int channels, int height, int width, float *rows, float *output);
/// NHWC to blocks.
void conednn_block(const float *pixels, size_t count, int channels, float *blocks);

/// A weighted sum of each pixel's channels, plus bias.
void conednn_project_f32(const float *input, size_t pixels, int channels, const float *weights, float bias, float *output);
/// The same of a blocked image.
void conednn_project_blocked(const float *input, size_t pixels, int channels, const float *weights, float bias, float *output);
void conednn_project_u8(const uint8_t *input, size_t pixels, int channels, const float *weights, float bias, float *output);
/// One plane enlarged twofold, as above.
void conednn_enlarge_plane(const float *low, int height, int width, float *output);
/// Adds weight · (mean of `plane` over a disc; zero outside the image). `scratch` holds
/// width + 2 radius + (2 radius + 1) · (radius + 1) · width floats.
void conednn_add_disc_mean(const float *plane, int height, int width, int radius, float weight, float *scratch, float *output);

/// Divides values, and returns whether each is a number then.
int conednn_divide(float *values, size_t count, float divisor);

/// Counts values by size: the upper 16 bits of the float, for values ≥ 0.
void conednn_count_sizes(const float *values, size_t count, uint32_t *bins32768);

#ifdef __cplusplus
}
#endif
