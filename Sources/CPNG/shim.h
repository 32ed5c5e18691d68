#pragma once
#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// libpng reports errors by longjmp, which must not cross Swift: reading stays on the C side.
typedef struct {
    FILE *file;
    png_structp png;
    png_infop info;
    int width, height, bits, channels, passes;
    char message[160];
} graticule_png;

static inline void graticule_png_failed(png_structp png, png_const_charp text) {
    graticule_png *reader = (graticule_png *)png_get_error_ptr(png);
    snprintf(reader->message, sizeof reader->message, "%s", text);
    longjmp(png_jmpbuf(png), 1);
}
static inline void graticule_png_ignored(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static inline void graticule_png_close(graticule_png *reader) {
    if (reader->png) png_destroy_read_struct(&reader->png, &reader->info, NULL);
    if (reader->file) fclose(reader->file);
    reader->file = NULL;
}

// Opens a PNG whose rows are then read as its numbers: 8 bits a channel, palettes looked up, alpha kept beside the colours,
// nothing converted by a gamma or a colour profile. `bits` is the file's own depth; 16 bits become v * 255 / 65535.
static inline int graticule_png_open(graticule_png *reader, const char *path, size_t most_pixels) {
    memset(reader, 0, sizeof *reader);
    reader->file = fopen(path, "rb");
    if (!reader->file) {
        snprintf(reader->message, sizeof reader->message, "%s", strerror(errno));
        return 0;
    }
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, graticule_png_failed, graticule_png_ignored);
    reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
    if (!reader->info) {
        snprintf(reader->message, sizeof reader->message, "no memory");
        graticule_png_close(reader);
        return 0;
    }
    if (setjmp(png_jmpbuf(reader->png))) {
        graticule_png_close(reader);
        return 0;
    }
    png_init_io(reader->png, reader->file);
    // Ancillary chunks of a hostile file must not unpack to any size.
    png_set_chunk_malloc_max(reader->png, 8000000);
    png_set_user_limits(reader->png, 0x7fffff, 0x7fffff);
    png_read_info(reader->png, reader->info);
    reader->width = (int)png_get_image_width(reader->png, reader->info);
    reader->height = (int)png_get_image_height(reader->png, reader->info);
    reader->bits = png_get_bit_depth(reader->png, reader->info);
    if ((size_t)reader->width * (size_t)reader->height > most_pixels) {
        snprintf(reader->message, sizeof reader->message, "%dx%d pixels are too many", reader->width, reader->height);
        graticule_png_close(reader);
        return 0;
    }
    png_set_expand(reader->png);
    if (reader->bits == 16) png_set_scale_16(reader->png);
    reader->passes = png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    reader->channels = png_get_channels(reader->png, reader->info);
    return 1;
}

// Reads one row of width * channels bytes; with several passes (interlaced) the rows are read again from the top.
static inline int graticule_png_row(graticule_png *reader, unsigned char *row) {
    if (setjmp(png_jmpbuf(reader->png))) return 0;
    png_read_row(reader->png, row, NULL);
    return 1;
}

// png_image is a large struct with macros around it that Swift cannot import; these keep it on the C side.

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
