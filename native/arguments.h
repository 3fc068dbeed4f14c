// Values from and for JavaScript. Reading is checked: lib/socket/ validates with better messages,
// this only makes a wrong call harmless.
#pragma once

#include <limits.h>
#include <napi.h>

#include <cstdint>

#include "namespace.h"

// Each returns false with a TypeError pending. None converts values: that fails while the thread is
// being terminated (node::worker sets can_call_into_js to false in the middle of a call), and
// node-addon-api aborts the process when an empty value is used. `index` counts from 0.
bool ReadUint32(const Napi::CallbackInfo& info, size_t index, uint32_t* value);
bool ReadInt32(const Napi::CallbackInfo& info, size_t index, int32_t* value);
bool ReadBoolean(const Napi::CallbackInfo& info, size_t index, bool* value);
bool ReadFunction(const Napi::CallbackInfo& info, size_t index, Napi::Function* value);

// In place, because a string of any length could not be copied safely: without exceptions, a failed
// allocation in C++ ends the process. A path that does not fit is cut off, at a whole character of
// at most four bytes, and then still too long for the kernel (ENAMETOOLONG).
struct Path {
  char text[PATH_MAX + 4];
};
bool ReadPath(const Napi::CallbackInfo& info, size_t index, Path* value);

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};
// A Uint8Array; its memory is used in place and must not be kept.
bool ReadBytes(const Napi::CallbackInfo& info, size_t index, Bytes* value);

// The result as a number; for a failure, an object with `errno` (negative) and `syscall` (the
// failed call).
Napi::Value ValueOf(Napi::Env env, const Outcome& outcome);
