#pragma once
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

// Swift cannot call variadic C functions; these are the field types that Graticule sets and reads.
static inline int graticule_tiff_set_u16(TIFF *tiff, uint32_t tag, uint16_t value) {
    return TIFFSetField(tiff, tag, value);
}
static inline int graticule_tiff_set_u32(TIFF *tiff, uint32_t tag, uint32_t value) {
    return TIFFSetField(tiff, tag, value);
}
static inline int graticule_tiff_set_i32(TIFF *tiff, uint32_t tag, int value) { return TIFFSetField(tiff, tag, value); }
static inline int graticule_tiff_set_float(TIFF *tiff, uint32_t tag, double value) {
    return TIFFSetField(tiff, tag, value);
}
static inline int graticule_tiff_set_string(TIFF *tiff, uint32_t tag, const char *value) {
    return TIFFSetField(tiff, tag, value);
}
static inline int graticule_tiff_set_subsampling(TIFF *tiff, uint16_t horizontal, uint16_t vertical) {
    return TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, horizontal, vertical);
}

// libtiff reports errors through a process-wide handler; keeping the last text per thread lets it be thrown in Swift.
static inline char *graticule_tiff_message(void) {
    static _Thread_local char message[512];
    return message;
}
static inline void graticule_tiff_error_handler(const char *module, const char *format, va_list arguments) {
    (void)module;
    vsnprintf(graticule_tiff_message(), 512, format, arguments);
}
static inline void graticule_tiff_install_handlers(void) {
    graticule_tiff_message()[0] = 0;
    TIFFSetErrorHandler(graticule_tiff_error_handler);
    TIFFSetWarningHandler(NULL);
}
static inline const char *graticule_tiff_error(void) { return graticule_tiff_message(); }

/// Bits of a sample of the first image; 1 where it does not say.
static inline int graticule_tiff_bits(TIFF *tiff) {
    uint16_t bits = 1;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    return bits;
}

/// A tag of one 16- or 32-bit number; 0 where it is not there.
static inline int64_t graticule_tiff_number(TIFF *tiff, uint32_t tag) {
    if (tag == TIFFTAG_COMPRESSION || tag == TIFFTAG_ORIENTATION) {
        uint16_t value = 0;
        return TIFFGetFieldDefaulted(tiff, tag, &value) ? value : 0;
    }
    uint32_t value = 0;
    return TIFFGetFieldDefaulted(tiff, tag, &value) ? value : 0;
}

/// Width and height of the first image, or 0.
static inline int graticule_tiff_size(TIFF *tiff, uint32_t *width, uint32_t *height) {
    return TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, width) && TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, height);
}
