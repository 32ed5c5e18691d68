#define _GNU_SOURCE
#include "COneDNN.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <stdlib.h>
#include <string.h>

struct conednn_convolution {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_memory_t input, output, weights, bias, scratch;
    size_t scratch_size;
};

// One engine for the process: it holds no state that changes.
static dnnl_engine_t engine(void) {
    static dnnl_engine_t shared;
    static int status = -1;
    // A race makes one engine too many, never a wrong one.
    if (__atomic_load_n(&status, __ATOMIC_ACQUIRE) != 0) {
        dnnl_engine_t made = NULL;
        if (dnnl_engine_create(&made, dnnl_cpu, 0) != dnnl_success) return NULL;
        __atomic_store_n(&shared, made, __ATOMIC_RELEASE);
        __atomic_store_n(&status, 0, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
}

int conednn_version(void) {
    const dnnl_version_t *v = dnnl_version();
    return v->major * 10000 + v->minor * 100 + v->patch;
}

int conednn_has_avx512(void) {
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
}

int conednn_has_vnni(void) {
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni
        || (isa & dnnl_cpu_isa_avx2_vnni) == dnnl_cpu_isa_avx2_vnni;
}

// oneDNN takes the number of threads from OpenMP's setting of the calling thread, which libtorch shares: it is one during
// each call and what it was after it. The functions are those of whichever OpenMP oneDNN was linked with.
static int (*get_threads)(void);
static void (*set_threads)(int);

__attribute__((constructor)) static void find_openmp(void) {
    get_threads = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

static int keep_to_this_thread(void) {
    const int before = get_threads ? get_threads() : 1;
    if (set_threads && before != 1) set_threads(1);
    return before;
}

static void restore_threads(int before) {
    if (set_threads && before != 1) set_threads(before);
}

static dnnl_data_type_t data_type(conednn_type type) {
    return type == CONEDNN_F32 ? dnnl_f32 : type == CONEDNN_U8 ? dnnl_u8 : dnnl_s8;
}

#define TRY(call) do { if ((status = (call)) != dnnl_success) goto failed; } while (0)

conednn_convolution *conednn_convolution_create(int kernel, int input_channels, int output_channels, int height, int width,
    conednn_type input, conednn_type output, const float *weights, const float *bias, const float *scales, int flags,
    int *result)
{
    const int threads = keep_to_this_thread();
    dnnl_status_t status = dnnl_out_of_memory;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_primitive_desc_t description = NULL, reorder_description = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t plain = NULL;
    int8_t *bytes = NULL;
    conednn_convolution *made = calloc(1, sizeof *made);
    dnnl_engine_t cpu = engine();
    if (!made || !cpu) goto failed;

    const dnnl_data_type_t weight_type = input == CONEDNN_F32 ? dnnl_f32 : dnnl_s8;
    const dnnl_dims_t input_dims = {1, input_channels, height, width}, output_dims = {1, output_channels, height, width},
                      weight_dims = {output_channels, input_channels, kernel, kernel}, bias_dims = {output_channels},
                      strides = {1, 1}, padding = {kernel / 2, kernel / 2};
    dnnl_memory_desc_t input_desc, output_desc, weight_desc, plain_desc, bias_desc;
    const dnnl_format_tag_t layout = flags & CONEDNN_BLOCKED ? dnnl_nChw16c : dnnl_nhwc;
    TRY(dnnl_memory_desc_init_by_tag(&input_desc, 4, input_dims, data_type(input), layout));
    TRY(dnnl_memory_desc_init_by_tag(&output_desc, 4, output_dims, data_type(output), layout));
    TRY(dnnl_memory_desc_init_by_tag(&weight_desc, 4, weight_dims, weight_type, dnnl_format_tag_any));
    TRY(dnnl_memory_desc_init_by_tag(&plain_desc, 4, weight_dims, weight_type, dnnl_oihw));
    TRY(dnnl_memory_desc_init_by_tag(&bias_desc, 1, bias_dims, dnnl_f32, dnnl_x));

    TRY(dnnl_primitive_attr_create(&attributes));
    // oneDNN's own scratch memory belongs to the thread that made the primitive; on another one it would be missing.
    TRY(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
    if (scales) TRY(dnnl_primitive_attr_set_output_scales(attributes, output_channels, 1 << 1, scales));
    TRY(dnnl_post_ops_create(&post));
    if (flags & CONEDNN_ADD) TRY(dnnl_post_ops_append_sum(post, 1));
    if (flags & CONEDNN_RELU) TRY(dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_relu, 0, 0));
    TRY(dnnl_primitive_attr_set_post_ops(attributes, post));
    dnnl_convolution_desc_t convolution;
    TRY(dnnl_convolution_forward_desc_init(&convolution, dnnl_forward_inference,
        flags & CONEDNN_WINOGRAD ? dnnl_convolution_winograd : dnnl_convolution_direct, &input_desc, &weight_desc,
        &bias_desc, &output_desc, strides, padding, padding));
    TRY(dnnl_primitive_desc_create(&description, &convolution, attributes, cpu, NULL));
    TRY(dnnl_primitive_create(&made->primitive, description));
    TRY(dnnl_stream_create(&made->stream, cpu, dnnl_stream_default_flags));

    // Weights in the layout that the primitive chose.
    const size_t count = (size_t)output_channels * input_channels * kernel * kernel;
    void *source = (void *)weights;
    if (weight_type == dnnl_s8) {
        if (!(bytes = malloc(count))) goto failed;
        for (size_t i = 0; i < count; ++i) bytes[i] = (int8_t)weights[i];
        source = bytes;
    }
    TRY(dnnl_memory_create(&plain, &plain_desc, cpu, source));
    const dnnl_memory_desc_t *chosen = dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
    TRY(dnnl_memory_create(&made->weights, chosen, cpu, DNNL_MEMORY_ALLOCATE));
    TRY(dnnl_reorder_primitive_desc_create(&reorder_description, &plain_desc, cpu, chosen, cpu, NULL));
    TRY(dnnl_primitive_create(&reorder, reorder_description));
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, made->weights}};
    TRY(dnnl_primitive_execute(reorder, made->stream, 2, arguments));
    TRY(dnnl_stream_wait(made->stream));

    TRY(dnnl_memory_create(&made->bias, &bias_desc, cpu, DNNL_MEMORY_ALLOCATE));
    void *target = NULL;
    TRY(dnnl_memory_get_data_handle(made->bias, &target));
    memcpy(target, bias, sizeof(float) * (size_t)output_channels);
    TRY(dnnl_memory_create(&made->input, &input_desc, cpu, DNNL_MEMORY_NONE));
    TRY(dnnl_memory_create(&made->output, &output_desc, cpu, DNNL_MEMORY_NONE));
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    made->scratch_size = dnnl_memory_desc_get_size(wanted);
    TRY(dnnl_memory_create(&made->scratch, wanted, cpu, DNNL_MEMORY_NONE));
    goto done;

failed:
    conednn_convolution_destroy(made);
    made = NULL;
done:
    free(bytes);
    if (plain) dnnl_memory_destroy(plain);
    if (reorder) dnnl_primitive_destroy(reorder);
    if (reorder_description) dnnl_primitive_desc_destroy(reorder_description);
    if (description) dnnl_primitive_desc_destroy(description);
    if (post) dnnl_post_ops_destroy(post);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    restore_threads(threads);
    *result = (int)status;
    return made;
}

size_t conednn_convolution_scratch(const conednn_convolution *c) { return c->scratch_size; }

int conednn_convolution_run(conednn_convolution *c, const void *input, void *output, void *scratch) {
    const int threads = keep_to_this_thread();
    dnnl_status_t status;
    TRY(dnnl_memory_set_data_handle(c->input, (void *)input));
    TRY(dnnl_memory_set_data_handle(c->output, output));
    TRY(dnnl_memory_set_data_handle(c->scratch, scratch));
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, c->input}, {DNNL_ARG_WEIGHTS, c->weights}, {DNNL_ARG_BIAS, c->bias},
        {DNNL_ARG_DST, c->output}, {DNNL_ARG_SCRATCHPAD, c->scratch}};
    TRY(dnnl_primitive_execute(c->primitive, c->stream, 5, arguments));
    status = dnnl_stream_wait(c->stream);
failed:
    restore_threads(threads);
    return (int)status;
}

void conednn_convolution_destroy(conednn_convolution *c) {
    if (!c) return;
    if (c->input) dnnl_memory_destroy(c->input);
    if (c->output) dnnl_memory_destroy(c->output);
    if (c->weights) dnnl_memory_destroy(c->weights);
    if (c->bias) dnnl_memory_destroy(c->bias);
    if (c->scratch) dnnl_memory_destroy(c->scratch);
    if (c->primitive) dnnl_primitive_destroy(c->primitive);
    if (c->stream) dnnl_stream_destroy(c->stream);
    free(c);
}
