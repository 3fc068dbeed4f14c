/*
 * What Debian's libstdc++ and libgcc_s want of glibc and musl lacks, so that a Node that is linked with musl runs without
 * Alpine's own of the two. It is found under the name of glibc's loader, which both of them need.
 */
#define _GNU_SOURCE
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

char __libc_single_threaded;
unsigned __cpu_model[4];

int __cpu_indicator_init(void) { return 0; }

size_t __strftime_l(char *to, size_t size, const char *format, const struct tm *time, locale_t locale) {
  return strftime_l(to, size, format, time, locale);
}

unsigned arc4random(void) {
  unsigned value;
  if (getrandom(&value, sizeof value, 0) != sizeof value) abort();
  return value;
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base) {
  return strtoul(text, end, base);
}

int fseeko64(FILE *file, off_t offset, int whence) { return fseeko(file, offset, whence); }

off_t ftello64(FILE *file) { return ftello(file); }

/* Node does not use these. */
int strfromf128(char *to, size_t size, const char *format, __float128 value) { abort(); }
__float128 strtof128(const char *text, char **end) { abort(); }

/* Destructors of threads' variables are not run. */
int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library) { return 0; }

/* No exception is caught: Node throws none. */
int _dl_find_object(void *address, void *result) { return -1; }
