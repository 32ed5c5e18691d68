#pragma once
#include <png.h>
#include <stdlib.h>
#include <string.h>

// png_image is a large struct with macros around it that Swift cannot import; these keep it on the C side.
static inline int graticule_png_read(const char *path, int channels, int *width, int *height, unsigned char *out,
                                     size_t capacity, char *message, size_t message_size) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    int ok = png_image_begin_read_from_file(&image, path);
    if (ok) {
        *width = (int)image.width;
        *height = (int)image.height;
        if (out != NULL) {
            image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
            png_color white = {255, 255, 255};
            if (PNG_IMAGE_SIZE(image) > capacity) ok = 0;
            else ok = png_image_finish_read(&image, &white, out, 0, NULL);
        }
    }
    if (!ok) strncpy(message, image.message[0] ? image.message : "size mismatch", message_size - 1);
    png_image_free(&image);
    return ok;
}

static inline int graticule_png_write(const char *path, int channels, int width, int height, const unsigned char *pixels,
                                      char *message, size_t message_size) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (unsigned)width;
    image.height = (unsigned)height;
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    int ok = png_image_write_to_file(&image, path, 0, pixels, 0, NULL);
    if (!ok) strncpy(message, image.message, message_size - 1);
    png_image_free(&image);
    return ok;
}

// A PNG with transparency in memory; the caller frees *out. Returns its size, or 0.
static inline size_t graticule_png_encode_rgba(int width, int height, const unsigned char *pixels, unsigned char **out) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (unsigned)width;
    image.height = (unsigned)height;
    image.format = PNG_FORMAT_RGBA;
    image.flags = PNG_IMAGE_FLAG_FAST;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    *out = (unsigned char *)malloc(size);
    if (*out && png_image_write_to_memory(&image, *out, &size, 0, pixels, 0, NULL)) return size;
    free(*out);
    *out = NULL;
    png_image_free(&image);
    return 0;
}
