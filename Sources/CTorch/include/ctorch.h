// Graticule's plain C face of libtorch (ATen). Every call catches C++ exceptions: a null pointer or a non-zero return
// means failure, and ctorch_error() holds the reason for the calling thread. Tensors are owned by the caller.
// Only calls that exist in libtorch 1.13 and in 2.x are used.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ctorch_tensor ctorch_tensor;

const char *ctorch_error(void);
const char *ctorch_version(void);
void ctorch_set_threads(int count);
/// Lets the C library keep freed buffers for the next step instead of giving their pages back to the kernel.
void ctorch_keep_buffers(void);
int ctorch_threads(void);
int ctorch_cuda_device_count(void);
/// The CPUs that the scheduler lets this process use.
int ctorch_allowed_processors(void);
/// Sets gradient recording for the calling thread and returns the previous state.
int ctorch_set_grad_enabled(int enabled);

// Creation. `device` is -1 for the CPU, else the CUDA device index.
ctorch_tensor *ctorch_from_floats(const float *values, const int64_t *shape, int rank, int device);
ctorch_tensor *ctorch_full(double value, const int64_t *shape, int rank, int device);
ctorch_tensor *ctorch_clone(const ctorch_tensor *tensor);
ctorch_tensor *ctorch_detach(const ctorch_tensor *tensor);
void ctorch_free(ctorch_tensor *tensor);

int ctorch_rank(const ctorch_tensor *tensor);
int64_t ctorch_size(const ctorch_tensor *tensor, int dimension);
int ctorch_copy_floats(const ctorch_tensor *tensor, float *out, int64_t count);

// Layout and placement.
ctorch_tensor *ctorch_channels_last(const ctorch_tensor *tensor);
ctorch_tensor *ctorch_to_device(const ctorch_tensor *tensor, int device);
ctorch_tensor *ctorch_reshape(const ctorch_tensor *tensor, const int64_t *shape, int rank);
ctorch_tensor *ctorch_narrow(const ctorch_tensor *tensor, int64_t dimension, int64_t start, int64_t length);
// Sums the pixels of each group: NLHW and N·H·W numbers of groups, −1 for none, give L × groups.
ctorch_tensor *ctorch_group_sums(const ctorch_tensor *tensor, const int32_t *numbers, int64_t groups);
ctorch_tensor *ctorch_cat(ctorch_tensor *const *tensors, int count, int64_t dimension);

// Arithmetic. `operation`: see the enums.
enum { CTORCH_ADD, CTORCH_SUB, CTORCH_MUL, CTORCH_DIV };
enum { CTORCH_NEG, CTORCH_EXP, CTORCH_LOG, CTORCH_SQRT, CTORCH_ABS, CTORCH_RELU, CTORCH_SIGMOID };
ctorch_tensor *ctorch_binary(int operation, const ctorch_tensor *a, const ctorch_tensor *b);
ctorch_tensor *ctorch_binary_scalar(int operation, const ctorch_tensor *a, double b);
ctorch_tensor *ctorch_unary(int operation, const ctorch_tensor *a);
ctorch_tensor *ctorch_log_softmax(const ctorch_tensor *a, int64_t dimension);
/// Sum (or mean) over the given dimensions; over all of them where count is 0.
ctorch_tensor *ctorch_sum(const ctorch_tensor *a, const int64_t *dimensions, int count);
ctorch_tensor *ctorch_mean(const ctorch_tensor *a, const int64_t *dimensions, int count);

// Networks. Images are NCHW.
ctorch_tensor *ctorch_conv2d(const ctorch_tensor *x, const ctorch_tensor *weight, const ctorch_tensor *bias_or_null,
                             int64_t padding);
ctorch_tensor *ctorch_batch_norm(const ctorch_tensor *x, const ctorch_tensor *weight, const ctorch_tensor *bias,
                                 ctorch_tensor *running_mean, ctorch_tensor *running_variance, int training,
                                 double momentum, double epsilon);
ctorch_tensor *ctorch_max_pool2(const ctorch_tensor *x);
/// Squares of 2x2 pixels into four times the channels; the result keeps the memory format of the input.
ctorch_tensor *ctorch_pixel_unshuffle2(const ctorch_tensor *x);
ctorch_tensor *ctorch_upsample2(const ctorch_tensor *x);

// Autograd.
int ctorch_set_requires_grad(ctorch_tensor *tensor, int enabled);
int ctorch_backward(ctorch_tensor *scalar);
/// The gradient of a leaf, or null with an empty ctorch_error() where there is none.
ctorch_tensor *ctorch_grad(const ctorch_tensor *tensor);
int ctorch_clear_grad(ctorch_tensor *tensor);

// In place, for optimisers and running averages (no gradient is recorded).
int ctorch_scale_(ctorch_tensor *tensor, double factor);
int ctorch_add_scaled_(ctorch_tensor *tensor, const ctorch_tensor *other, double factor);
int ctorch_addcmul_(ctorch_tensor *tensor, const ctorch_tensor *a, const ctorch_tensor *b, double factor);
/// tensor += factor * numerator / (sqrt(square) / root_scale + epsilon)
int ctorch_add_rooted_quotient_(ctorch_tensor *tensor, const ctorch_tensor *numerator, const ctorch_tensor *square,
                                double root_scale, double epsilon, double factor);
int ctorch_copy_(ctorch_tensor *tensor, const ctorch_tensor *source);

#ifdef __cplusplus
}
#endif
