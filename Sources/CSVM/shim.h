#pragma once
#include <libsvm/svm.h>

// libsvm writes its progress to standard output unless it is given somewhere else.
static inline void graticule_svm_ignore(const char *text) { (void)text; }
static inline void graticule_svm_be_quiet(void) { svm_set_print_string_function(graticule_svm_ignore); }
