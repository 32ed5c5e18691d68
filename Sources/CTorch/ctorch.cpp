#include "ctorch.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <malloc.h>
#include <sched.h>

#include <string>
#include <thread>
#include <vector>

struct ctorch_tensor {
    at::Tensor value;
};

namespace {

thread_local std::string last_error;

/// Runs `body`, and turns any exception into a null pointer and a one-line reason.
template <typename Body>
ctorch_tensor *guarded(Body body) noexcept {
    try {
        last_error.clear();
        return new ctorch_tensor{body()};
    } catch (const c10::Error &error) {
        last_error = error.what_without_backtrace();
    } catch (const std::exception &error) {
        last_error = error.what();
    } catch (...) {
        last_error = "unknown C++ exception";
    }
    return nullptr;
}

template <typename Body>
int guarded_status(Body body) noexcept {
    try {
        last_error.clear();
        body();
        return 0;
    } catch (const c10::Error &error) {
        last_error = error.what_without_backtrace();
    } catch (const std::exception &error) {
        last_error = error.what();
    } catch (...) {
        last_error = "unknown C++ exception";
    }
    return 1;
}

at::TensorOptions options(int device) {
    auto base = at::TensorOptions().dtype(at::kFloat);
    return device < 0 ? base.device(at::kCPU) : base.device(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
}

}  // namespace

const char *ctorch_error(void) { return last_error.c_str(); }

const char *ctorch_version(void) {
#ifdef TORCH_VERSION
    return TORCH_VERSION;
#else
    return "1.13";
#endif
}

void ctorch_set_threads(int count) {
    (void)guarded_status([&] { at::set_num_threads(count); });
}

void ctorch_keep_buffers(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
#endif
}

int ctorch_threads(void) { return at::get_num_threads(); }

int ctorch_cuda_device_count(void) {
    int count = 0;
    (void)guarded_status([&] { count = at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().getNumGPUs()) : 0; });
    return count;
}

int ctorch_allowed_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    return static_cast<int>(std::thread::hardware_concurrency());
}

int ctorch_set_grad_enabled(int enabled) {
    int previous = at::GradMode::is_enabled() ? 1 : 0;
    at::GradMode::set_enabled(enabled != 0);
    return previous;
}

ctorch_tensor *ctorch_from_floats(const float *values, const int64_t *shape, int rank, int device) {
    return guarded([&] {
        auto view = at::from_blob(const_cast<float *>(values), at::IntArrayRef(shape, rank), at::kFloat);
        return device < 0 ? view.clone() : view.to(options(device).device(), /*non_blocking=*/false, /*copy=*/true);
    });
}

ctorch_tensor *ctorch_full(double value, const int64_t *shape, int rank, int device) {
    return guarded([&] { return at::full(at::IntArrayRef(shape, rank), value, options(device)); });
}

ctorch_tensor *ctorch_clone(const ctorch_tensor *tensor) {
    return guarded([&] { return tensor->value.detach().clone(); });
}

ctorch_tensor *ctorch_detach(const ctorch_tensor *tensor) {
    return guarded([&] { return tensor->value.detach(); });
}

void ctorch_free(ctorch_tensor *tensor) { delete tensor; }

int ctorch_rank(const ctorch_tensor *tensor) { return static_cast<int>(tensor->value.dim()); }

int64_t ctorch_size(const ctorch_tensor *tensor, int dimension) { return tensor->value.size(dimension); }

int ctorch_copy_floats(const ctorch_tensor *tensor, float *out, int64_t count) {
    return guarded_status([&] {
        auto source = tensor->value.detach().to(at::kCPU, at::kFloat).contiguous();
        TORCH_CHECK(source.numel() == count, "expected ", count, " values, the tensor has ", source.numel());
        memcpy(out, source.data_ptr<float>(), sizeof(float) * static_cast<size_t>(count));
    });
}

ctorch_tensor *ctorch_channels_last(const ctorch_tensor *tensor) {
    return guarded([&] { return tensor->value.contiguous(at::MemoryFormat::ChannelsLast); });
}

ctorch_tensor *ctorch_to_device(const ctorch_tensor *tensor, int device) {
    return guarded([&] { return tensor->value.to(options(device).device()); });
}

ctorch_tensor *ctorch_reshape(const ctorch_tensor *tensor, const int64_t *shape, int rank) {
    return guarded([&] { return tensor->value.reshape(at::IntArrayRef(shape, rank)); });
}

ctorch_tensor *ctorch_narrow(const ctorch_tensor *tensor, int64_t dimension, int64_t start, int64_t length) {
    return guarded([&] { return tensor->value.narrow(dimension, start, length); });
}

ctorch_tensor *ctorch_group_sums(const ctorch_tensor *tensor, const int32_t *numbers, int64_t groups) {
    return guarded([&] {
        auto labels = tensor->value.size(1);
        auto flat = tensor->value.transpose(0, 1).reshape({labels, -1});
        auto index = at::from_blob(const_cast<int32_t *>(numbers), {flat.size(1)}, at::TensorOptions().dtype(at::kInt))
                         .to(at::kLong);
        // Pixels of no group go to one more, which is left off.
        index = at::where(index < 0, at::full({}, groups, index.options()), index).to(flat.device());
        auto sums = at::zeros({labels, groups + 1}, flat.options());
        return sums.scatter_add(1, index.unsqueeze(0).expand({labels, -1}), flat).narrow(1, 0, groups);
    });
}

ctorch_tensor *ctorch_cat(ctorch_tensor *const *tensors, int count, int64_t dimension) {
    return guarded([&] {
        std::vector<at::Tensor> values;
        for (int i = 0; i < count; i++) values.push_back(tensors[i]->value);
        return at::cat(values, dimension);
    });
}

ctorch_tensor *ctorch_binary(int operation, const ctorch_tensor *a, const ctorch_tensor *b) {
    return guarded([&]() -> at::Tensor {
        switch (operation) {
            case CTORCH_ADD: return a->value + b->value;
            case CTORCH_SUB: return a->value - b->value;
            case CTORCH_MUL: return a->value * b->value;
            case CTORCH_DIV: return a->value / b->value;
        }
        TORCH_CHECK(false, "unknown binary operation");
    });
}

ctorch_tensor *ctorch_binary_scalar(int operation, const ctorch_tensor *a, double b) {
    return guarded([&]() -> at::Tensor {
        switch (operation) {
            case CTORCH_ADD: return a->value + b;
            case CTORCH_SUB: return a->value - b;
            case CTORCH_MUL: return a->value * b;
            case CTORCH_DIV: return a->value / b;
        }
        TORCH_CHECK(false, "unknown binary operation");
    });
}

ctorch_tensor *ctorch_unary(int operation, const ctorch_tensor *a) {
    return guarded([&]() -> at::Tensor {
        switch (operation) {
            case CTORCH_NEG: return at::neg(a->value);
            case CTORCH_EXP: return at::exp(a->value);
            case CTORCH_LOG: return at::log(a->value);
            case CTORCH_SQRT: return at::sqrt(a->value);
            case CTORCH_ABS: return at::abs(a->value);
            case CTORCH_RELU: return at::relu(a->value);
            case CTORCH_SIGMOID: return at::sigmoid(a->value);
        }
        TORCH_CHECK(false, "unknown unary operation");
    });
}

ctorch_tensor *ctorch_log_softmax(const ctorch_tensor *a, int64_t dimension) {
    return guarded([&] { return at::log_softmax(a->value, dimension); });
}

ctorch_tensor *ctorch_sum(const ctorch_tensor *a, const int64_t *dimensions, int count) {
    return guarded([&] { return count == 0 ? a->value.sum() : a->value.sum(at::IntArrayRef(dimensions, count)); });
}

ctorch_tensor *ctorch_mean(const ctorch_tensor *a, const int64_t *dimensions, int count) {
    return guarded([&] { return count == 0 ? a->value.mean() : a->value.mean(at::IntArrayRef(dimensions, count)); });
}

ctorch_tensor *ctorch_conv2d(const ctorch_tensor *x, const ctorch_tensor *weight, const ctorch_tensor *bias,
                             int64_t padding) {
    return guarded([&] {
        return at::conv2d(x->value, weight->value, bias ? c10::optional<at::Tensor>(bias->value) : c10::nullopt, {1, 1},
                          {padding, padding});
    });
}

ctorch_tensor *ctorch_batch_norm(const ctorch_tensor *x, const ctorch_tensor *weight, const ctorch_tensor *bias,
                                 ctorch_tensor *mean, ctorch_tensor *variance, int training, double momentum,
                                 double epsilon) {
    return guarded([&] {
        return at::batch_norm(x->value, weight->value, bias->value, mean->value, variance->value, training != 0, momentum,
                              epsilon, /*cudnn_enabled=*/true);
    });
}

ctorch_tensor *ctorch_max_pool2(const ctorch_tensor *x) {
    return guarded([&] { return at::max_pool2d(x->value, {2, 2}, {2, 2}); });
}

ctorch_tensor *ctorch_pixel_unshuffle2(const ctorch_tensor *x) {
    return guarded([&] { return at::pixel_unshuffle(x->value, 2).contiguous(x->value.suggest_memory_format()); });
}

ctorch_tensor *ctorch_upsample2(const ctorch_tensor *x) {
    return guarded([&] {
        return at::upsample_bilinear2d(x->value, {x->value.size(2) * 2, x->value.size(3) * 2}, /*align_corners=*/false);
    });
}

int ctorch_set_requires_grad(ctorch_tensor *tensor, int enabled) {
    return guarded_status([&] { tensor->value.requires_grad_(enabled != 0); });
}

int ctorch_backward(ctorch_tensor *scalar) {
    return guarded_status([&] { scalar->value.backward(); });
}

ctorch_tensor *ctorch_grad(const ctorch_tensor *tensor) {
    last_error.clear();
    if (!tensor->value.grad().defined()) return nullptr;
    return guarded([&] { return tensor->value.grad().detach(); });
}

int ctorch_clear_grad(ctorch_tensor *tensor) {
    return guarded_status([&] { tensor->value.mutable_grad().reset(); });
}

int ctorch_scale_(ctorch_tensor *tensor, double factor) {
    return guarded_status([&] {
        at::NoGradGuard guard;
        tensor->value.mul_(factor);
    });
}

int ctorch_add_scaled_(ctorch_tensor *tensor, const ctorch_tensor *other, double factor) {
    return guarded_status([&] {
        at::NoGradGuard guard;
        tensor->value.add_(other->value, factor);
    });
}

int ctorch_addcmul_(ctorch_tensor *tensor, const ctorch_tensor *a, const ctorch_tensor *b, double factor) {
    return guarded_status([&] {
        at::NoGradGuard guard;
        tensor->value.addcmul_(a->value, b->value, factor);
    });
}

int ctorch_add_rooted_quotient_(ctorch_tensor *tensor, const ctorch_tensor *numerator, const ctorch_tensor *square,
                                double root_scale, double epsilon, double factor) {
    return guarded_status([&] {
        at::NoGradGuard guard;
        auto root = square->value.sqrt().div_(root_scale).add_(epsilon);
        tensor->value.addcdiv_(numerator->value, root, factor);
    });
}

int ctorch_copy_(ctorch_tensor *tensor, const ctorch_tensor *source) {
    return guarded_status([&] {
        at::NoGradGuard guard;
        tensor->value.copy_(source->value);
    });
}
