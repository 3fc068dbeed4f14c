// Values from and for JavaScript. Reading is checked: lib/socket/ validates with better messages,
// this only makes a wrong call harmless.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "namespace.h"

// Each returns false with a TypeError pending. None converts values: that fails while the thread is
// being terminated (node::worker sets can_call_into_js to false in the middle of a call), and
// node-addon-api aborts the process when an empty value is used. `index` counts from 0.
bool ReadUint32(const Napi::CallbackInfo& info, size_t index, uint32_t* value);
bool ReadInt32(const Napi::CallbackInfo& info, size_t index, int32_t* value);
bool ReadBoolean(const Napi::CallbackInfo& info, size_t index, bool* value);
bool ReadString(const Napi::CallbackInfo& info, size_t index, std::string* value);
bool ReadFunction(const Napi::CallbackInfo& info, size_t index, Napi::Function* value);

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};
// A Uint8Array; its memory is used in place and must not be kept.
bool ReadBytes(const Napi::CallbackInfo& info, size_t index, Bytes* value);

// The result as a number; for a failure, an object with `errno` (negative) and `syscall` (the
// failed call).
Napi::Value ValueOf(Napi::Env env, const Outcome& outcome);
